"""The view Ablations: what a soup owes to the number and the settings of its ingredients, and to each of them."""
