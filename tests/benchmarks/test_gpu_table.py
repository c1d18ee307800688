"""The document's table of GPU results is that of the results beside it."""

from __future__ import annotations

from benchmarks.gpu.reference_table import text
from benchmarks.tables import DOCS


def test_the_table_is_of_the_results() -> None:
    page = (DOCS / "how-to" / "gpu.md").read_text(encoding="utf-8")
    assert f"<!-- gpu_reference -->\n{text()}\n<!-- /gpu_reference -->" in page
