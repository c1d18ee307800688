"""The data set cedar in mlbench."""
