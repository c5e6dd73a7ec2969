"""Tests of soup_core/jobs/."""
