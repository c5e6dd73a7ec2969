"""Held-out size: how the gap between the gain where greedy chose and that on test shrinks as more images choose."""

from collections.abc import Sequence

from pages.shared import drawing
from pages.shared.context import Context
from pages.views.ingredients.ablations.following import follow, mean_in_words
from pages.views.ingredients.selection import Selection
from soup_core.analysis import ablations
from soup_core.analysis.ablations import GapStep
from soup_core.charts import ablations as figures


def draw(context: Context, chosen: Selection) -> None:
    """How the selection gap shrinks as more images choose."""

    def curve(steps: Sequence[GapStep]) -> str:
        drawing.chart(
            figures.selection_gap_curve(steps),
            "selection-gap",
            f"Greedy's gain where it chose, on test, and the gap, for {len(steps)} sizes of the held-out set.",
        )
        return (
            f"Chosen on {steps[0].size:,} images, greedy's gain is flattered by {mean_in_words(steps[0].gap)}; on all "
            f"{steps[-1].size:,}, by {mean_in_words(steps[-1].gap)}."
        )

    sizes = sum(size < context.evaluator("held_out").total for size in ablations.SIZES) + 1
    words = (
        "Choose on fewer images",
        "Choosing on more and more images",
        "The gains of greedy soups chosen on few images, then on more, stand here as they come.",
    )
    follow(context, "selection-gap", sizes, words, curve)
