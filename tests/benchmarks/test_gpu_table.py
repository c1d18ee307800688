"""The documents' tables of GPU results are those of the results beside them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.gpu import reference_table, scaling_table
from benchmarks.tables import DOCS


@pytest.mark.parametrize(
    ("page", "name", "text"),
    [
        ("gpu.md", "gpu_reference", reference_table.speeds),
        ("gpu.md", "gpu_ratios", reference_table.ratios),
        ("several-devices.md", "two_gpus", scaling_table.text),
    ],
    ids=["gpu_reference", "gpu_ratios", "two_gpus"],
)
def test_the_table_is_of_the_results(page: str, name: str, text: Callable[[], str]) -> None:
    assert f"<!-- {name} -->\n{text()}\n<!-- /{name} -->" in (DOCS / "how-to" / page).read_text(encoding="utf-8")
