"""The page Interpolation: the line, the plane, many pairs, and the mix that was clicked."""
