"""The hooks around a run, on real runs: when each is called and with what, of a package and of mlbenchfile.py alike."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbench_core import Suite
from mlbench_core.runner.journal import NAME
from mlbench_core.trial import Trial

TELLS = """
import json
from pathlib import Path
from mlbench_core.hookspecs import hookimpl

def tell(*values):
    with Path(__name__ + ".jsonl").open("a") as file:
        file.write(json.dumps(values) + "\\n")

def lines():
    return len(Path("out/journal.jsonl").read_text().splitlines())

@hookimpl
def run_started(config, trials, resumed):
    tell("run_started", lines(), config.output, [trial.key for trial in trials], resumed)

@hookimpl
def trial_started(trial):
    tell("trial_started", lines(), trial.key, list(Path("out/logs").glob(f"{trial.label}-*")) != [])

@hookimpl
def trial_finished(record):
    tell("trial_finished", lines(), record.trial.key)

@hookimpl
def run_finished(results):
    tell("run_finished", lines(), len(results.records))
"""
"""Writes down each call, with the lines that the journal has by then, and whether a worker has begun the log of its trial."""
RAISES = """
from mlbench_core.hookspecs import hookimpl

@hookimpl
def run_started(): raise SystemExit(3)

@hookimpl
def trial_started(): raise KeyError("no")
"""


def install(folder: Path, name: str, code: str) -> None:
    """A distribution with one plugin, whose module has its name."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mlbench.plugins]\n{name} = {name}\n")
    (folder / f"{name}.py").write_text(code)


@pytest.fixture
def suite(tmp_path: Path, quick: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Suite]:
    """Makes one of a training and an inference, in a folder with a plugin."""
    (tmp_path / "mlbenchfile.py").write_text(TELLS)
    monkeypatch.chdir(tmp_path)

    def make(**keys: Any) -> Suite:
        plain = {"frameworks": ["numpy"], "models": ["mlp"], "num_epochs": 1, "measure": quick, "output": "out"}
        return Suite(**plain | keys)

    return make


def told(folder: Path, name: str = "mlbenchfile") -> list[list[Any]]:
    """What a plugin wrote down since this was last asked."""
    path = folder / f"{name}.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return found


@pytest.mark.long
def test_each_is_called_once_and_in_its_place_whatever_another_plugin_raises(
    suite: Callable[..., Suite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "hooks_raise", RAISES)
    install(tmp_path, "hooks_tell", TELLS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    planned = suite()
    first, second = (trial.key for trial in planned.trials)
    with pytest.warns(UserWarning, match="hooks_raise") as warned:
        results = planned.run()
    again = "it is not called again"
    assert [str(warning.message) for warning in warned] == [
        f"plugin 'hooks_raise' of hooks_raise 1.0: run_started raised SystemExit: 3; {again}",
        f"plugin 'hooks_raise' of hooks_raise 1.0: trial_started raised KeyError: 'no'; {again}",
    ]
    assert [record.status for record in results.records] == ["ok", "ok"]
    calls = [
        ["run_started", 1, "out", [first, second], False],  # nothing but the header: nothing is verified
        ["trial_started", 2, first, False],
        ["trial_finished", 3, first],
        ["trial_started", 3, second, False],
        ["trial_finished", 4, second],
        ["run_finished", 4, 2],
    ]
    assert told(tmp_path) == calls
    assert told(tmp_path, "hooks_tell") == calls


def test_a_resumed_run_says_so_and_what_is_left(suite: Callable[..., Suite], tmp_path: Path) -> None:
    def stop(_trial: Trial, event: dict[str, Any]) -> None:
        if event["event"] == "record":
            raise KeyboardInterrupt

    first, second = (trial.key for trial in suite().trials)
    suite().run(stop, verify=False, resume=True)
    assert [(name, *values) for name, _, *values in told(tmp_path)] == [
        ("run_started", "out", [first, second], False),  # there was none to go on with
        ("trial_started", first, False),
        ("trial_finished", first),
        ("run_finished", 1),
    ]
    suite().run(verify=False, resume=True)
    assert [(name, *values) for name, _, *values in told(tmp_path)] == [
        ("run_started", "out", [second], True),
        ("trial_started", second, False),
        ("trial_finished", second),
        ("run_finished", 2),
    ]
    suite().run(verify=False, resume=True)
    assert [(name, *values) for name, _, *values in told(tmp_path)] == [
        ("run_started", "out", [], True),
        ("run_finished", 2),
    ]


def test_each_has_started_that_fails_without_a_worker(suite: Callable[..., Suite], tmp_path: Path) -> None:
    """What the framework has said to the first trial is not asked again for the second."""
    suite(precision=["bf16"]).run(verify=False)
    assert [name for name, *_ in told(tmp_path)] == [
        "run_started", "trial_started", "trial_finished", "trial_started", "trial_finished", "run_finished",
    ]  # fmt: skip
    assert len(list((tmp_path / "out" / "logs").iterdir())) == 1


def test_a_batch_that_is_still_to_be_found_has_no_size(
    suite: Callable[..., Suite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(TELLS.replace("trial.key for", "trial.batch_size for"))
    suite(batch_sizes=["auto"]).open(verify=False).close()
    assert told(tmp_path) == [["run_started", 1, "out", [0, 1], False]]
    assert (tmp_path / "out" / NAME).exists()
