"""The views of pages that have several, a module each: `draw(context, …)`; only the chosen one computes."""
