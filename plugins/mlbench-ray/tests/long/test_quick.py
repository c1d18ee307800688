"""The quick configuration, and several blocks, on three nodes."""

from pathlib import Path
from typing import Any

import pytest
from on_nodes import both, check

from mlbench_core import Config


def test_blocks_of_a_group_stay_on_one_node(
    three_nodes: Any, short: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config.parse({**short, "frameworks": ["numpy", "fake", "toy"], "blocks": 3})
    here, there = both(config, three_nodes, tmp_path, monkeypatch)
    assert len(here.records) == 3 * 3 * (3 + 1)
    check(here, there, 3)


def test_the_quick_configuration(three_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config.load("quick_test").replace(frameworks=["numpy", "fake"])
    here, there = both(config, three_nodes, tmp_path, monkeypatch)
    check(here, there, 3)
