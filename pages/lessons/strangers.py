"""The line between strangers: two networks from different random starts."""

from pages.lessons.lesson import Lesson
from pages.lessons.line import ask, onward, run

LESSON = Lesson(
    "strangers", "Strangers", "fashion-scratch",
    "And what lies between two networks from different random starts?",
    "Same network, images and settings: only the random start differs. Both ends are about equally good. Sketch the "
    "accuracy between.",
    ask, run, onward,
)  # fmt: skip
