"""The page Greedy: its search in numbers and words."""
