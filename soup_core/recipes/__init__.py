"""Ways of making a soup, one method a file."""
