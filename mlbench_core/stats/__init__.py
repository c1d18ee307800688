"""The statistics behind the numbers: percentiles that are worth printing."""
