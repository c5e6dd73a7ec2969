"""The page Ingredients: the mix, the map, the preflight check, uploads, and the selection they share."""
