"""Every measurement, the engine's and then the browser's: writes benchmarks/RESULTS.md and benchmarks/engine.json.

python -m benchmarks
"""

from pathlib import Path

from benchmarks import batch_norm, browser, engine, fairness, teaching

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def main() -> None:
    """Measure both and write the tables."""
    statistics = batch_norm.table()
    fair = fairness.measured()
    rows = engine.measured()
    engine.keep(rows)
    shown, taught = browser.measured(), teaching.measured()
    packages = engine.versions("torch", "torchvision", "safetensors", "numpy", "streamlit", "plotly", "playwright")
    lines = [
        "# Results",
        "",
        f"Made by `python -m benchmarks` on {engine.machine()}; "
        f"{', '.join(f'{name} {number}' for name, number in packages.items())}.",
        "",
        "## The engine against its rivals",
        "",
        *engine.table(rows),
        "",
        "## BatchNorm statistics of a soup",
        "",
        *statistics,
        "",
        "## Work beside other work",
        "",
        *fair,
        "",
        "## What a user waits for in a browser",
        "",
        *browser.table(shown),
        "",
        "## Lessons, and what is taken along",
        "",
        *browser.table(taught),
    ]
    RESULTS.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
