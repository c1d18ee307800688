"""A run on three nodes finds what a run on this machine finds, and no node has two trials at once."""

from pathlib import Path
from typing import Any

import pytest
from on_nodes import both, check

from mlbench_core import Config


def test_three_nodes_find_what_one_machine_finds(
    three_nodes: Any, short: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = both(Config.parse({**short, "batch_sizes": [8, 16]}), three_nodes, tmp_path, monkeypatch)
    assert len(here.records) == 2 * (2 + 1)
    check(here, there, 3)
