"""Nodes on which something else is installed are refused with a list, and data are brought to nodes that do not see them."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlbench_core import Suite
from mlbench_core.errors import ConfigError, ExecutorError
from mlbench_core.machine.cache import cache_folder
from mlbench_ray.alike import differences, listed
from mlbench_ray.executor import connect
from mlbench_ray.files import BROUGHT, digest_of, present, read, take


def test_differences_are_told_by_name() -> None:
    here, there = {"Python": "3.11.7", "a": "1", "b": "2"}, {"Python": "3.11.7", "a": "1.1", "c": "3"}
    assert differences(here, there) == ["a: 1 here, 1.1 there", "b: 2 here, nothing there", "c: nothing here, 3 there"]
    assert differences(here, here) == []
    assert listed([str(number) for number in range(10)]) == "0; 1; 2; 3; 4; 5; 6; 7; and 2 more"


def test_a_node_with_another_plugin_is_refused_with_a_list(three_nodes: Any, tmp_path: Path) -> None:
    metadata = tmp_path / "mlbench_other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mlbench-other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[mlbench.frameworks]\nother = other\n")
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(tmp_path)])
    node = three_nodes.add(env_vars={"PYTHONPATH": path})
    three_nodes.cluster.wait_for_nodes()
    with pytest.raises(ExecutorError) as refused:
        connect({"address": three_nodes.address})
    assert node.node_id[:8] in str(refused.value)
    assert "plugin other: nothing here, mlbench-other 1.0 there" in str(refused.value)


def test_data_that_a_node_does_not_see_are_brought_once(
    three_nodes: Any, short: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies under /proc/self/cwd is another folder in each process."""
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(cache_folder() / BROUGHT, ignore_errors=True)
    suite = Suite(**{**short, "executor": "ray", "executor_options": {"address": three_nodes.address}})
    data = suite.prepare()
    for pair, folder in data.folders.items():
        shutil.copytree(folder, tmp_path / "seen-here")
        data.folders[pair] = Path("/proc/self/cwd/seen-here")
    results = suite.run(verify=False)
    assert {record.status for record in results.records} == {"ok"}, results.records
    brought = list((cache_folder() / BROUGHT).iterdir())
    assert [each.name for each in brought] == [digest_of(tmp_path / "seen-here")]


def test_what_is_brought_is_what_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    (folder / "inner" / "b").write_bytes(b"2")
    digest, files = digest_of(folder), read(folder)
    assert present(folder, digest) == str(folder)
    assert present(tmp_path / "nowhere", digest) == ""
    place = take(files, digest)
    assert present(tmp_path / "nowhere", digest) == place
    assert read(Path(place)) == files
    (folder / "a").write_bytes(b"3")
    assert present(folder, digest) == place
    (Path(place) / "a").write_bytes(b"damaged")
    assert present(folder, digest) == ""
    with pytest.raises(ExecutorError, match="are not what the driver has"):
        take({**files, "a": b"damaged on its way"}, digest)
    assert take(files, digest) == place
    assert sorted(each.name for each in (tmp_path / "cache" / BROUGHT).iterdir()) == [digest]


def test_parity_is_proven_once_for_each_kind_of_node(
    three_nodes: Any, short: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    three_nodes.add(labels={"rack": "far"})
    three_nodes.cluster.wait_for_nodes()
    keys = {**short, "executor": "ray", "executor_options": {"address": three_nodes.address}}
    results = Suite(**{**keys, "frameworks": ["numpy"]}).run()
    kinds = [result.node for result in results.parity]
    assert len(kinds) == 2
    assert [kind.endswith(", rack=far") for kind in sorted(kinds)] == [False, True]
    assert {result.verdict for result in results.parity} == {"verified"}
    assert {row.parity.verdict for row in results.rows} == {"verified"}


def test_each_kind_of_node_runs_the_same_trials(three_nodes: Any, short: dict[str, Any]) -> None:
    far = three_nodes.add(labels={"rack": "far"})
    three_nodes.add(labels={"rack": "near"})
    three_nodes.cluster.wait_for_nodes()
    kinds = [{"labels": {"rack": "far"}}, {"labels": {"rack": "near"}}]
    keys = {**short, "executor": "ray", "executor_options": {"address": three_nodes.address}}
    results = Suite(**keys, nodes=kinds).run(verify=False)
    assert {record.status for record in results.records} == {"ok"}
    places = {record.trial.node: record.place for record in results.records}
    assert {(record.trial.node, record.place) for record in results.records} == set(places.items())
    assert sorted(places) == ["rack=far", "rack=near"]
    assert places["rack=far"].endswith(far.node_id[:8])
    with pytest.raises(ConfigError, match="nodes: 1 of 2 nodes are rack=far; there are: "):
        Suite(**{**keys, "output": "elsewhere"}, nodes=[{"labels": {"rack": "far"}, "count": 2}]).run()
