"""Two versions of NumPy are arms of one run, each verified in its own environment, with verdicts between them."""

import os
import shutil
import subprocess
from pathlib import Path

from mlbench_core import Results

HERE = Path(__file__).parent
OTHER = "2.3.5"
QUICK = "measure: {warmup_seconds: 0, steady_limit: 0, min_values: 3, min_seconds: 0, latency_steps: 20, queries: 20}\n"


def test_two_versions_are_compared(tmp_path: Path) -> None:
    for name in ("compare_versions.sh", "compare.yaml"):
        shutil.copy(HERE / name, tmp_path)
    config = tmp_path / "compare.yaml"
    config.write_text(config.read_text().replace("blocks: 6", "blocks: 2") + QUICK)
    command = ["./compare_versions.sh", "numpy", f"numpy=={OTHER}"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results.load(tmp_path / "versions")
    versions = {record.trial.variant: record.measured.framework_version for record in results.records}
    assert versions[f"numpy-{OTHER}"] == OTHER
    assert versions["here"] != OTHER
    assert {one.verdict for one in results.parity} == {"verified"}
    primary = [comparison for comparison in results.comparisons if comparison.primary]
    assert primary
    assert all(comparison.verdict != "not comparable" for comparison in primary)
    assert all(comparison.describe() in done.stdout for comparison in primary)
