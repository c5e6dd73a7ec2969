"""A soup leaves: as a file that other libraries load, as a card, a script, a recipe, tables."""

from soup_core.export.adapter import SoupAdapter, export_adapter, soup_adapter
from soup_core.export.card import model_card, not_evaluated
from soup_core.export.export import Export, title_of
from soup_core.export.files import export_soup, safetensors_bytes, weights
from soup_core.export.formats import FORMATS
from soup_core.export.recipe import READ_AT_MOST, RECIPE_BYTES_AT_MOST, imported, read_recipe
from soup_core.export.script import command, python, remaking_script
from soup_core.export.tables import csv_text, entry_rows, ingredient_rows, markdown_table, step_row

__all__ = [
    "FORMATS",
    "READ_AT_MOST",
    "RECIPE_BYTES_AT_MOST",
    "Export",
    "SoupAdapter",
    "command",
    "csv_text",
    "entry_rows",
    "export_adapter",
    "export_soup",
    "imported",
    "ingredient_rows",
    "markdown_table",
    "model_card",
    "not_evaluated",
    "python",
    "read_recipe",
    "remaking_script",
    "safetensors_bytes",
    "soup_adapter",
    "step_row",
    "title_of",
    "weights",
]
