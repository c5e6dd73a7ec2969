"""Pictures of every page and view from the running app, to be looked at.

python -m benchmarks.screenshots FOLDER [NAME ...]
"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import TimeoutError

from tests.e2e.driver import chromium, server, worked

PAGES = {
    "home": "",
    "ingredients": "Ingredients?in=ft-15&in=ft-18&in=ft-22",
    "ingredients-none": "Ingredients?in=",
    "map": "Ingredients?view=Map",
    "disagreement": "Ingredients?view=Map&pairs=Disagreement",
    "how-many": "Ingredients?view=Ablations",
    "leave-one-out": "Ingredients?view=Ablations&ablation=Leave+one+out",
    "shapley": "Ingredients?view=Ablations&ablation=Shapley",
    "held-out-size": "Ingredients?view=Ablations&ablation=Held-out+size",
    "hyperparameters": "Ingredients?view=Ablations&ablation=Hyperparameters",
    "preflight": "Ingredients?view=Will+it+soup%3F",
    "preflight-strangers": "Ingredients?view=Will+it+soup%3F&zoo=fashion-scratch",
    "greedy": "Greedy?step=24",
    "band": "Greedy?step=24&band=true",
    "interpolation": "Interpolation",
    "strangers": "Interpolation?zoo=fashion-scratch",
    "plane": "Interpolation?view=Plane",
    "landscape": "Interpolation?view=Plane&form=landscape",
    "pairs": "Interpolation?view=Many+pairs",
    "learned": "Learned?granularity=layer",
    "robustness": "Robustness",
    "shifts": "Robustness?view=Shifts",
    "calibration": "Robustness?view=Calibration",
    "changed": "Robustness?view=What+changed",
    "cost": "Robustness?view=Cost",
    "train": "Train",
    "learn": "Learn?lesson=Strangers&answered=%7B%22strangers%22%3A%5Bnull%2C90%2C90%2C90%5D%7D",
    "present": "Present",
    "presented": "Greedy?step=24&present=1",
    "add-a-zoo": "Add_a_zoo",
}
LOOKS: dict[str, tuple[int, Literal["light", "dark"]]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "narrow": (390, "light"),
}


def main() -> None:
    """Take each page in light, dark and 390 pixels wide."""
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    wanted = {name: path for name, path in PAGES.items() if not names or name in names}
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, server(Path(home) / "home") as address, chromium() as browser:
        for look, (width, scheme) in LOOKS.items():
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            for name, path in wanted.items():
                page.goto(f"{address}/{path}")
                try:
                    worked(page)
                except TimeoutError:
                    print(f"{name} is still at work in its picture", file=sys.stderr)
                page.wait_for_timeout(1500)
                height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                page.set_viewport_size({"width": width, "height": min(height, 2600)})
                page.wait_for_timeout(700)
                page.screenshot(path=folder / f"{name}-{look}.png")
                page.set_viewport_size({"width": width, "height": 800})


if __name__ == "__main__":
    main()
