"""What comes with the bundled zoos so that a first visit waits for no image, and the command that writes it anew.

python -m soup_core.analysis.shipped [ZOO ...]      without a name, all of them
"""

import sys
import tempfile
from pathlib import Path

from soup_core.data import ASSETS
from soup_core.evaluation import Evaluator
from soup_core.evaluation.shipped import shipped_text
from soup_core.finetune.bundled import PLANS
from soup_core.recipes.ensemble import ensemble
from soup_core.recipes.greedy import greedy_soup
from soup_core.recipes.uniform import uniform_soup
from soup_core.runtime.files import write_atomically
from soup_core.runtime.store import Store
from soup_core.soup import Soup
from soup_core.zoo import Zoo, open_zoo, zoo_folders


def ship_evaluations(zoo: Zoo, device: str = "cpu") -> None:
    """Evaluate a zoo anew and write it into its evaluations.jsonl, over what was there.

    That is, on the held-out and the test images and under real shifts: every checkpoint, the uniform soup, the ensemble of all, and greedy's
    soup; and of greedy's search each candidate, where it was rejected early the bound that said so.
    """
    zoo.evaluations_file.unlink(missing_ok=True)  # or else what it says would not be computed
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store.sqlite")
        splits = ("held_out", "test", *(f"test:{shift}" for shift in zoo.data.real_shifts()))
        held_out, *others = (Evaluator(zoo, split, device, store=store) for split in splits)
        *_, last = greedy_soup(zoo, held_out)
        for evaluate in (held_out, *others):
            for soup in (*map(Soup.single, zoo.by_name), uniform_soup(zoo), last.soup):
                evaluate(soup)
            ensemble(evaluate, zoo.names)
        text = shipped_text(store.evaluations(), store.bounds())
    write_atomically(zoo.evaluations_file, text.encode())


def main(names: list[str]) -> None:
    """Write the named bundled zoos' evaluations, or all."""
    for name in names or [name for name in PLANS if name in zoo_folders()]:
        ship_evaluations(open_zoo(ASSETS / "zoos" / name))


if __name__ == "__main__":
    main(sys.argv[1:])
