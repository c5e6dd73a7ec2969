"""The views of the Ingredients page: over one selection, each draws in its own way what the average does."""
