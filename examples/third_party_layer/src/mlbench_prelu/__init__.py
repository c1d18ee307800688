"""A layer of its own, PReLU, in mlbench."""
