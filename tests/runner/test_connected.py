"""An executor of a plugin is connected once, with the options of the configuration, before anything else is asked of it."""

from pathlib import Path
from typing import Any

import pytest

from mlbench_core import Suite
from mlbench_core.errors import ConfigError

FILE = """
from attrs import evolve
from concurrent.futures import Future
from threading import Timer
from mlbench_core.executor import Place
from mlbench_core.executors import local
from mlbench_core.hookspecs import ExecutorDescriptor, hookimpl

ASKED = []

def connect(options):
    ASKED.append(("connect", options))
    return tuple(Place(f"node{n}") for n in range(options["nodes"]))

def machine():
    ASKED.append("machine")
    return local.machine()

def run(request, setting):
    ASKED.append(("run", setting.place))
    waiting = Future()
    Timer(0.05, waiting.set_result, [None]).start()
    yield waiting
    return evolve((yield from local.run(request, setting)), place=setting.place)

@hookimpl
def register_executors():
    return [ExecutorDescriptor(name="mine", run="mlbenchfile:run", machine="mlbenchfile:machine", connect="mlbenchfile:connect",
                               options=("nodes",), description="")]
"""


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]) -> dict[str, Any]:
    (tmp_path / "mlbenchfile.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return {
        "frameworks": ["numpy"], "models": ["mlp"], "dataset": "synthetic:8/2@64", "batch_sizes": [8], "num_epochs": 1,
        "measure": quick, "executor": "mine", "executor_options": {"nodes": 2}, "threads": 1,
    }  # fmt: skip


def test_trials_are_shared_by_its_places(keys: dict[str, Any]) -> None:
    results = Suite(**keys).run(verify=False)
    import mlbenchfile  # type: ignore[import-not-found]

    assert mlbenchfile.ASKED[:2] == [("connect", {"nodes": 2}), "machine"]
    assert sum(each[0] == "connect" for each in mlbenchfile.ASKED) == 1
    assert [record.status for record in results.records] == ["ok", "ok"]
    assert {record.place for record in results.records} == {"node0", "node1"}
    assert {place for name, place in mlbenchfile.ASKED[2:] if name == "run"} == {"node0", "node1"}


def test_nothing_is_connected_to_say_what_would_run(keys: dict[str, Any]) -> None:
    assert len(Suite(**keys).trials) == 2
    import mlbenchfile

    assert mlbenchfile.ASKED == []


def test_an_option_that_nobody_takes_is_one_line(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="executor_options: mine: node: unknown option 'node': did you mean 'nodes'"):
        Suite(**{**keys, "executor_options": {"node": 2}})
    with pytest.raises(ConfigError, match="executor_options: local: nodes: it takes no options"):
        Suite(**{**keys, "executor": "local"})
