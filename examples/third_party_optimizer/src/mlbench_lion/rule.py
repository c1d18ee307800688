"""Lion (Chen et al., 2023) as data; see `on_numpy.py` for what it does."""

from attrs import frozen

from mlbench_core.architecture import UpdateRule


@frozen(kw_only=True)
class Lion(UpdateRule):
    """direction = sign(beta1 * m + (1 - beta1) * gradient);  m = beta2 * m + (1 - beta2) * gradient;
    p -= learning_rate * (direction + weight_decay * p)."""

    name: str = "lion"
    beta1: float = 0.9
    beta2: float = 0.99


def lion() -> Lion:
    """A third of AdamW's learning rate and three times its decay, as the paper advises."""
    return Lion(learning_rate=2**-12, weight_decay=2**-5)
