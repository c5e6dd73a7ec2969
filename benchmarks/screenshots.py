"""Pictures of every page from the running app: `python -m benchmarks.screenshots FOLDER`; Home's is the README's."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from tests.e2e.driver import ROOT, chromium, server, settled, worked

PAGES = {"home": "", "ingredients": "Ingredients?in=ft-15&in=ft-18&in=ft-22", "greedy": "Greedy?step=24",
         "band": "Greedy?step=24&band=true", "learned": "Learned?granularity=layer",
         "interpolation": "Interpolation", "strangers": "Interpolation?zoo=fashion-scratch"}  # fmt: skip
LOOKS: dict[str, tuple[int, Literal["light", "dark"]]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "narrow": (390, "light"),
}


def main() -> None:
    """Take each page in light, dark and 390 pixels wide."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, server(Path(home) / "home") as address, chromium() as browser:
        for look, (width, scheme) in LOOKS.items():
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page = context.new_page()
            for name, path in PAGES.items():
                page.goto(f"{address}/{path}")
                settled(page)
                worked(page)
                page.wait_for_timeout(1500)
                height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                page.set_viewport_size({"width": width, "height": min(height, 2600)})
                page.wait_for_timeout(700)
                page.screenshot(path=folder / f"{name}-{look}.png")
                page.set_viewport_size({"width": width, "height": 800})
    shutil.copy(folder / "home-light.png", ROOT / "assets" / "images" / "home.png")


if __name__ == "__main__":
    main()
