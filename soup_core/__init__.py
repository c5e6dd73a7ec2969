"""Model soups: averaging, evaluation and recipes."""
