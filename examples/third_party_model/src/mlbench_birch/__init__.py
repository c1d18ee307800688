"""The model birch in mlbench."""
