"""Tests of soup_core/architectures/."""
