"""The views of pages that have several, a module each: `draw(here, …)`; only the chosen one computes."""
