"""Real data that comes with scikit-learn: handwritten digits, and the Wisconsin breast cancer measurements."""

from __future__ import annotations

import numpy as np
from attrs import evolve

from mlbench_core.data.dataset import Array, DataRequest, Dataset

VALIDATION_SHARE = 0.2


def digits(request: DataRequest) -> Dataset:
    """1797 images of 8 x 8 pixels with 17 levels: 1437 to train on, 360 to validate. 10 classes."""
    request.refuse_argument("digits")
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8, 1).astype(np.uint8)
    return _split("digits", images, y)


def digits_sequence(request: DataRequest) -> Dataset:
    """The digits as sequences of 64 pixel tokens, 0 to 16."""
    request.refuse_argument("digits-sequence")
    data = digits(request)
    return evolve(
        data,
        name="digits-sequence",
        kind="tokens",
        x_train=data.x_train.reshape(-1, 64).astype(np.int32),
        x_val=data.x_val.reshape(-1, 64).astype(np.int32),
        levels=None,
    )


def breast_cancer(request: DataRequest) -> Dataset:
    """569 samples of 30 measurements, standardised over the training part: 455 to train on, 114 to validate. 2 classes."""
    request.refuse_argument("breast_cancer")
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    data = _split("breast_cancer", x, y)
    mean, std = data.x_train.mean(axis=0), data.x_train.std(axis=0)
    return evolve(
        data, kind="vector", x_train=(data.x_train - mean) / std, x_val=(data.x_val - mean) / std, levels=None
    )


def _split(name: str, x: Array, y: Array) -> Dataset:
    """The same stratified split in every run: a run's seed must not change what it is validated on."""
    from sklearn.model_selection import train_test_split

    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=VALIDATION_SHARE, random_state=0, stratify=y)
    return Dataset(
        name=name,
        kind="image",
        x_train=x_train,
        y_train=y_train,
        x_val=x_val,
        y_val=y_val,
        num_classes=int(y.max()) + 1,
        levels=17,
    )
