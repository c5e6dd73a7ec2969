"""Pages of a zoo of outputs: what needs no weights."""
