"""Weights as points: averages, BatchNorm statistics, angles, distances and maps."""
