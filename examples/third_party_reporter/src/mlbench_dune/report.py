"""The reporter dune: what it writes."""

from pathlib import Path

from mlbench_core import Results
from mlbench_core.plain_text import clean


def write(results: Results, folder: Path) -> list[Path]:
    """Writes dune.txt: a line per cell and block. Returns the paths of all that it wrote."""
    # TODO 1: your own file. results.rows has a Row per cell and block, results.comparisons the verdicts, results.records
    # everything that was measured, results.failures() what did not end well. Texts of users may hold anything: `clean` them.
    lines = [
        f"{clean(row.framework)} {clean(row.model)} {row.device} batch {row.batch_size} block {row.block}: {row.status}"
        for row in results.rows
    ]
    path = folder / "dune.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path]
