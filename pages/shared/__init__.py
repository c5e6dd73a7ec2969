"""What the pages have in common: opening a page, caching, and the address."""
