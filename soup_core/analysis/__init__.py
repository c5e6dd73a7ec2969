"""What one asks of soups: lines and planes, pairs, ablations, robustness, calibration, cost, and why one fails."""
