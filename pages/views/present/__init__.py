"""The page Present: its scenes, and the files made of them."""
