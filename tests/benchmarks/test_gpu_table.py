"""The documents' tables of GPU results are those of the results beside them."""

from __future__ import annotations

from benchmarks.gpu.reference_table import text
from benchmarks.tables import DOCS
from mlbench_core import Results


def test_the_table_is_of_the_results() -> None:
    page = (DOCS / "how-to" / "gpu.md").read_text(encoding="utf-8")
    assert f"<!-- gpu_reference -->\n{text()}\n<!-- /gpu_reference -->" in page


def test_the_speeds_of_one_gpu_and_two_are_of_the_results() -> None:
    page = (DOCS / "how-to" / "several-devices.md").read_text(encoding="utf-8")
    results = Results.load(DOCS / "results" / "gpu" / "two_gpus.json")
    speed = {(row.framework, row.device): f"{row.samples_per_second:,.0f}" for row in results.rows if not row.block}
    for framework, version in (("jax", "JAX 0.11.2"), ("pytorch", "PyTorch 2.11")):
        (efficiency,) = [
            row.scaling_efficiency_pct for row in results.rows if (row.framework, row.device) == (framework, "cuda:0-1")
        ]
        cells = [f"mlbench, {version}", speed[framework, "cuda:0"], speed[framework, "cuda:0-1"], f"{efficiency:.0f} %"]
        assert f"| {' | '.join(cells)} |" in page
