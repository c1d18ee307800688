"""Two runs or more, cell by cell: did it get slower? Pure functions of results, up to the exit status."""
