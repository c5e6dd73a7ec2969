"""Classes of which there are many more images than of others: accuracy then says little of the rare ones."""

import numpy as np

from soup_core.analysis.preflight.finding import Finding
from soup_core.evaluation import Evaluator
from soup_core.runtime.files import shown

UNBALANCED = 0.8  # of the classes' number, below which their effective number has to lie
SENSITIVE = ("accuracy", "top-5", "log-loss")  # metrics in which a class counts as much as it has images


def balance_check(evaluate: Evaluator) -> Finding | None:
    """Whether soups are selected on classes of very different sizes; None where they are alike.

    Sizes are summed up by the effective number of classes, the exponential of the entropy of their shares (Jost 2006, doi
    10.1111/j.2006.0030-1299.14714.x): two classes of 82 % and 18 % are just unbalanced.
    """
    sizes = np.bincount(evaluate.data.labels.numpy(), minlength=len(evaluate.outputs))
    shares = sizes[sizes > 0] / sizes.sum()
    if np.exp(-(shares * np.log(shares)).sum()) >= UNBALANCED * len(shares):
        return None
    most, least = int(sizes.argmax()), int(sizes[sizes > 0].min())
    names = evaluate.zoo.data.classes
    output = evaluate.outputs[most]
    name = shown(names[output]) if output < len(names) else f"class {output}"
    found = (
        f"The classes are unbalanced: {100 * shares.max():.1f} % of the held-out images are {name}, and of the rarest class "
        f"there are {least:,}"
    )
    if evaluate.metric.key not in SENSITIVE:
        return Finding("balance", "good", f"{found}; soups are selected by {evaluate.metric.name}, which heeds that.")
    return Finding(
        "balance",
        "notice",
        f"{found}, so that {evaluate.metric.name} says little of the rare ones; select by balanced accuracy: choose it as "
        'metric, with --metric balanced-accuracy, or as metric = "balanced-accuracy" in zoo.toml.',
    )
