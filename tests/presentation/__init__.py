"""Tests of soup_core/presentation/."""
