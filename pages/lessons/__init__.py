"""Short lessons on the bundled zoos: a question, the reader's prediction, the run, and why; a file a lesson."""

from pages.lessons import (
    batchnorm,
    ensemble,
    gap,
    greedy,
    hot,
    learned,
    line,
    lora,
    one_run,
    shift,
    strangers,
    text,
    uniform,
    why,
)
from pages.lessons.lesson import Lesson

LESSONS: tuple[Lesson, ...] = (
    why.LESSON, uniform.LESSON, greedy.LESSON, line.LESSON, strangers.LESSON, hot.LESSON, batchnorm.LESSON,
    ensemble.LESSON, gap.LESSON, learned.LESSON, shift.LESSON, one_run.LESSON, lora.LESSON,
    *([text.LESSON] if text.is_there() else []),
)  # fmt: skip
