"""Only what a worker tells its parent is an event: whatever is printed, and by whom, is for the log."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mlbench_core.executor import Request, Setting, trial_request
from mlbench_core.executors import local
from mlbench_core.executors.events import EVENTS, LONG, parse
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.runner.asking import ask
from mlbench_core.runner.turns import run_alone
from mlbench_core.serialize import to_json
from mlbench_core.trial import Job, ModelSource, Trial
from mlbench_core.verify.rungs import ParityResult
from mlbench_core.version import VERSION

FORGED = [
    "7",
    "null",
    '["done"]',
    '"done"',
    '{"event": "party"}',
    '{"event": ["done"]}',
    '{"event": "phase"}',
    '{"event": "failed", "status": "failed"}',
    '{"measured": {}}',
    "Traceback",
    "",
    "[" * 100_000,
]


@pytest.mark.parametrize("line", FORGED, ids=lambda line: line[:20])
def test_what_is_not_one_of_our_events_is_none(line: str) -> None:
    assert parse(line.encode() + b"\n") is None


INFO = FrameworkInfo(
    name="x", version="1", devices=("cpu",), precisions=("fp32",), executions=("eager",), default_execution="eager"
)
PARITY = ParityResult(framework="x", model="mlp", device="cpu", digest="0", framework_version="1")


def test_an_event_is_what_was_told() -> None:
    values = {str: "failed", int: 1, dict: {}}
    carried = {"info": to_json(INFO), "parity": to_json(PARITY)}
    for name, wanted in EVENTS.items():
        fields = {field: carried.get(field, values[kind]) for field, kind in wanted.items()}
        event = json.loads(json.dumps({"event": name, **fields, "more": 1.5}))
        assert parse(json.dumps(event).encode() + b"\n") == event


@pytest.mark.parametrize(
    "forged",
    [
        {"event": "info", "info": {"name": "x"}},
        {"event": "parity", "parity": {"verdict": "verified"}},
        {"event": "done", "measured": {"values": ["fast"]}},
        {"event": "done", "measured": {"speed": 1}},
        {"event": "failed", "status": "ok", "reason": ""},
        {"event": "failed", "status": "crashed", "reason": ""},
        {"event": "failed", "status": "failed", "reason": "", "ending": {"out_of": "luck"}},
    ],
)
def test_what_holds_no_value_of_ours_is_no_event(forged: dict[str, Any]) -> None:
    assert parse(json.dumps(forged).encode()) is None


def test_a_long_line_that_does_not_begin_as_ours_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"event": "phase", "name": "x" * LONG}
    assert parse(json.dumps(event).encode()) == event
    monkeypatch.setattr("mlbench_core.executors.events.json.loads", lambda _line: pytest.fail("it was read"))
    assert parse(b" " * LONG + b"{}") is None


def _customize(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every interpreter that is started from now on run the code before anything else."""
    (folder / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


@pytest.mark.parametrize("line", ["7", '{"event": "done"}', '{"event": "failed", "status": "failed", "reason": "me"}'])
def test_what_a_sitecustomize_prints_is_no_event(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _customize(tmp_path, f"import os\nos.write(1, {line.encode()!r} + b'\\n')\nprint({line!r})", monkeypatch)
    info, problem = ask(local.run, "numpy", "cpu")
    assert problem == ""
    assert info is not None
    assert info.name == "numpy"


def test_what_comes_of_a_trial_is_the_same_and_the_log_has_the_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code even writes to the events' own pipe."""
    noise = 'b"17\\n{\\"event\\": \\"party\\"}\\n"'
    _customize(
        tmp_path,
        "import os, stat\n"
        "print('printed before the worker', flush=True)\n"
        "for descriptor in range(3, 64):\n"
        "    try:\n"
        "        pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)\n"
        "    except OSError:\n"
        "        continue\n"
        f"    if pipe: os.write(descriptor, {noise})\n",
        monkeypatch,
    )
    trial = Trial(
        framework="numpy",
        model="mlp",
        dataset="digits",
        device="cpu",
        batch_size=32,
        precision="fp32",
        execution="default",
        task="train",
        block=1,
        num_epochs=0,
        seed=0,
        threads=1,
    )
    job = Job(trial=trial, model=ModelSource("mlbench_core.models.mlp:mlp"), data=str(tmp_path / "no such data"))
    told: list[str] = []
    setting = Setting(
        python=sys.executable, time_limit_s=60, log=tmp_path / "log", on_event=lambda event: told.append(event["event"])
    )
    record = run_alone(local.run(trial_request(job), setting))
    assert (record.status, told) == ("failed", ["phase", "failed"])
    assert "no such data" in record.reason
    log = (tmp_path / "log").read_text()
    assert "printed before the worker\n" in log
    assert 'not an event: 17\nnot an event: {"event": "party"}\n' in log


def test_another_mlbench_at_the_other_end_is_one_line_that_says_which(tmp_path: Path) -> None:
    """Before anything else of what it was asked is looked at: here it is nonsense."""
    setting = Setting(python=sys.executable, time_limit_s=60, log=tmp_path / "log")
    nonsense = Request(kind="trial", job={"of another": "form"}, device="cpu", threads=1)
    for core, said in (("25.1.0", "25.1.0"), ("", "of an unknown version")):
        outcome = run_alone(local.run(evolve(nonsense, core=core), setting))
        assert (outcome.status, outcome.reason) == (
            "failed",
            f"mlbench-core {said} asked for this, and the worker's Python, {sys.executable}, has mlbench-core {VERSION}: "
            "install the same version in both",
        )
    assert "asked for this" not in run_alone(local.run(nonsense, setting)).reason


def test_an_interpreter_that_closes_the_pipe_is_said_to(tmp_path: Path) -> None:
    wrapper = tmp_path / "python"
    wrapper.write_text(
        f"#!{sys.executable}\nimport subprocess, sys\nsys.exit(subprocess.call([{sys.executable!r}, *sys.argv[1:]]))\n"
    )
    wrapper.chmod(0o755)
    trial = Trial(
        framework="numpy",
        model="mlp",
        dataset="digits",
        device="cpu",
        batch_size=32,
        precision="fp32",
        execution="default",
        task="train",
        block=1,
        num_epochs=0,
        seed=0,
        threads=1,
    )
    job = Job(trial=trial, model=ModelSource("mlbench_core.models.mlp:mlp"), data=str(tmp_path))
    record = run_alone(
        local.run(trial_request(job), Setting(python=str(wrapper), time_limit_s=60, log=tmp_path / "log"))
    )
    assert record.status == "crashed"
    assert "a wrapper that closes the descriptor of the events" in record.reason


def test_an_interpreter_that_is_not_there_is_one_line() -> None:
    info, problem = ask(local.run, "numpy", "cpu", "/no/such/python")
    assert info is None
    assert problem == "there is no Python interpreter '/no/such/python' that can be run (python, in frameworks)"


def test_a_file_that_is_no_interpreter_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "python"
    file.write_bytes(b"\0\0\0")
    file.chmod(0o755)
    info, problem = ask(local.run, "numpy", "cpu", str(file))
    assert info is None
    assert problem == f"{file} cannot be run: Exec format error (python, in frameworks)"


def test_done_without_a_result_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from mlbench_core.worker import __main__ as m\nm._work = lambda request, emit, turn: iter([lambda: emit('done')])"
    _customize(tmp_path, code, monkeypatch)
    info, problem = ask(local.run, "numpy", "cpu")
    assert info is None
    assert problem.startswith("the worker exited with status 0 during start; see ")
