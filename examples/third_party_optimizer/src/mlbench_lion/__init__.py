"""The optimiser Lion in mlbench."""
