"""The line between strangers: two networks from different random starts."""

from pages.lessons.lesson import Lesson
from pages.lessons.line import ask, onward, run

LESSON = Lesson(
    "strangers",
    "Strangers",
    "fashion-scratch",
    "And what lies between two networks from different random starts?",
    "Same network, images and settings. Only the seed differs: it draws the random start, and orders and augments the "
    "images. The ends are the two best of six. Sketch the accuracy between.",
    ask,
    run,
    onward,
)
