"""`python -m soup_core` is the command line."""

from soup_core.cli import main

main()
