"""A third-party model: an MLP whose hidden features are shifted cyclically and scaled."""
