"""What training makes smaller, as data: the loss that models have, and the class that a third party's own is made from.

A loss of your own is a subclass with its numbers, and an implementation for each framework, registered for the class::

    @frozen(kw_only=True)
    class Smoothed(Loss):
        name: str = "smoothed"
        smoothing: float = 0.125

`mlbench_core.reference.losses.make_loss` is where the NumPy one is registered, which the others are compared with; each
framework's plugin has a function of that name in its `loss` module. examples/third_party_loss is one, whole.
"""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Loss:
    """What every loss has: its name. It is a mean over the samples of a batch, so that a batch can be shared by devices."""

    name: str


@frozen(kw_only=True)
class CrossEntropy(Loss):
    """The mean of -log softmax(logits)[label], which comes along."""

    name: str = "cross-entropy"
