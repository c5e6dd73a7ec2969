"""Tests of soup_core/cli/."""
