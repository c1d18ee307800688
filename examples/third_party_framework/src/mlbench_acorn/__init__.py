"""The framework acorn in mlbench."""
