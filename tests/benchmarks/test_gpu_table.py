"""The documents' tables of GPU results are those of the results beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from benchmarks.gpu import one_gpu, reference_table, scaling_table
from benchmarks.tables import DOCS


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [
        ("how-to/gpu.md", "gpu_reference", reference_table.speeds),
        ("how-to/gpu.md", "gpu_ratios", reference_table.ratios),
        ("how-to/several-devices.md", "two_gpus", scaling_table.text),
        ("explanation/harness-cost.md", "one_gpu", partial(one_gpu.report, one_gpu.JOURNAL)),
    ],
    ids=["gpu_reference", "gpu_ratios", "two_gpus", "one_gpu"],
)
def test_the_table_is_of_the_results(page: str, name: str, text: Callable[[], str]) -> None:
    assert f"<!-- {name} -->\n{text()}\n<!-- /{name} -->" in (DOCS / page).read_text(encoding="utf-8")
