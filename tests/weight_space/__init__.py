"""Tests of soup_core/weight_space/."""
