"""The page Robustness: what changed between two models, and what each costs."""
