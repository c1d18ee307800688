"""What the GPU's hand-written loops share: their job and the sizes of the models. No framework is imported here."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from benchmarks.handwritten.common import Timing

VOCABULARY = 30522
BERT_CLASSES = 10
IMAGE_CLASSES = 1000
IMAGE = (224, 224, 3)
RING = 2
"""Batches that steps take in turn; they lie on the GPU."""


@dataclass(frozen=True, kw_only=True)
class Job(Timing):
    """One process, as it stands in the JSON argument. length: of a sequence, for bert-base alone."""

    model: str
    batch_size: int
    length: int


def job() -> Job:
    """The one of the command line."""
    return Job(**json.loads(sys.argv[1]))
