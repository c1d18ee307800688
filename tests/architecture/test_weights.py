"""Seeded weights: repeatable, independent of the rest of the model, of the distribution that was asked for."""

import numpy as np

from mlbench_core.architecture import Architecture, Dense, Normal, Optimizer, Sequential, initial_weights

SGD = Optimizer(name="sgd", learning_rate=0.1)


def model(*extra: Dense) -> Architecture:
    return Architecture(
        name="m",
        root=Sequential([Dense(200, init=Normal(0.5)), *extra, Dense(3)]),
        input_shape=(100,),
        num_classes=3,
        optimizer=SGD,
    )


def test_same_seed_same_weights() -> None:
    first, second, other = (initial_weights(model(), seed) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["0.kernel"], other["0.kernel"])


def test_a_parameter_does_not_depend_on_its_neighbours() -> None:
    alone, more = initial_weights(model(), 0), initial_weights(model(Dense(200)), 0)
    assert np.array_equal(alone["0.kernel"], more["0.kernel"])


def test_distributions() -> None:
    weights = initial_weights(model(), 0)
    kernel, head = weights["0.kernel"], weights["1.kernel"]
    assert all(value.dtype == np.float32 for value in weights.values())
    # 20,000 draws: the standard error of the mean is 0.0035 and of the deviation 0.0025; five of each.
    assert abs(kernel.mean()) < 0.018
    assert abs(kernel.std() - 0.5) < 0.0125
    assert np.all(weights["0.bias"] == 0)
    bound = 1 / np.sqrt(200)
    assert np.abs(head).max() <= bound
    assert np.abs(head).max() > 0.95 * bound
