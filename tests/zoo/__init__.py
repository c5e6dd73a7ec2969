"""Tests of soup_core/zoo/."""
