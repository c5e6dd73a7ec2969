"""The app's pages; each reads top to bottom."""
