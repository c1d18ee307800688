"""Label smoothing (Szegedy et al., 2016) as data; see `on_numpy.py` for what it does."""

from attrs import frozen

from mlbench_core.architecture import Loss


@frozen(kw_only=True)
class Smoothed(Loss):
    """The cross-entropy with (1 - smoothing) * onehot + smoothing / classes in place of the onehot labels."""

    name: str = "smoothed"
    smoothing: float


def smoothed() -> Smoothed:
    """About the 0.1 of the paper, as a power of two, which float32 holds exactly."""
    return Smoothed(smoothing=2**-3)
