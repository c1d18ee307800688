"""The instrument measured: see `nox -s bench` and `nox -s trust`."""
