"""The registry as a table in Markdown, and the command that writes it into a file between two comments.

python -m soup_core.recipes.table README.md
"""

import sys
from pathlib import Path

from soup_core.recipes import RECIPES

BEGIN = "<!-- recipes: made by python -m soup_core.recipes.table README.md -->"
END = "<!-- end of recipes -->"


def table() -> str:
    """A row a recipe: its name, its paper with a link, what it needs, and how the command line runs it."""
    rows = ["| recipe | paper | needs | on the command line |", "| --- | --- | --- | --- |"]
    for recipe in RECIPES.values():
        about, needs = recipe.about, ", ".join(need.value for need in recipe.needs)
        rows.append(f"| {about.name} | [{about.paper}]({about.link}) | {needs} | `{recipe.command_line}` |")
    return "\n".join(rows)


def written(text: str) -> str:
    """A text with the table of now between the comments. Raises ValueError where it lacks one of them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Rewrite the table in the file that is named."""
    file = Path(sys.argv[1])
    file.write_text(written(file.read_text()))


if __name__ == "__main__":
    main()
