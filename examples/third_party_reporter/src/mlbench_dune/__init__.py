"""The reporter dune in mlbench."""
