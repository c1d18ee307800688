"""`--json-events`, `--quiet` and plain lines: what real runs print, held to what docs/reference/events.md says."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from attrs import evolve, fields
from jsonschema import Draft202012Validator
from made import made

from mlbench_core.json_schema import Definitions
from mlbench_core.record import Record
from mlbench_core.report.events import KINDS, SCHEMA_VERSION, Events
from mlbench_core.report.figures import figures, main_figure
from mlbench_core.report.lines import TrialLines
from mlbench_core.report.remaining import Remaining

MLBENCH = str(Path(sys.executable).with_name("mlbench"))
ROOT = Path(__file__).parents[2]
LOCAL = """
import sys
from mlbench_core.hookspecs import hookimpl

@hookimpl
def run_started(trials):
    print("a plugin prints")

@hookimpl
def trial_started(trial):
    print("a plugin prints")

@hookimpl
def trial_finished(record):
    print("a plugin prints")
"""


def run(folder: Path, quick: dict[str, float], *options: str) -> subprocess.CompletedProcess[str]:
    config = folder / "config.json"
    limits = {"mfu": 1e6}  # on a busy machine the fastest matrix product may be slower than training
    config.write_text(
        json.dumps({"models": ["mlp"], "num_epochs": 1, "measure": quick, "output": "out", "limits": limits})
    )
    command = [MLBENCH, "run", "--config", str(config), "--frameworks", "numpy,toy", "--no-verify", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def schema(kind: Any) -> dict[str, Any]:
    """Of an event, by its class."""
    definitions = Definitions()
    definitions.of(kind)
    found = definitions.found.pop(kind.__name__)
    head = {"event": {"const": kind.name}, "seconds": {"type": "number", "minimum": 0}}
    return {
        **found,
        "properties": {**head, **found["properties"]},
        "required": [*head, *(each.name for each in fields(kind))],  # what may be null is there all the same
        "$defs": definitions.found,
    }


VALIDATORS = {kind.name: Draft202012Validator(schema(kind)) for kind in KINDS}


def checked(lines: str) -> list[dict[str, Any]]:
    """The events, each of which is what its class says."""
    events = [json.loads(line) for line in lines.splitlines()]
    for event in events:
        VALIDATORS[event["event"]].validate(event)
    assert [event["seconds"] for event in events] == sorted(event["seconds"] for event in events)
    return events


@pytest.mark.long
def test_every_line_of_a_real_run_is_a_documented_event(tmp_path: Path, quick: dict[str, float]) -> None:
    (tmp_path / "mlbenchfile.py").write_text(LOCAL)
    done = run(tmp_path, quick, "--json-events", "--execution", "all")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("a plugin prints") == 1 + 4 + 4
    events = checked(done.stdout)
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("run_started", "run_finished")
    assert {"note", "trial_started", "phase", "trial_finished"} <= set(names)
    assert (events[0]["schema_version"], events[0]["trials"]) == (SCHEMA_VERSION, 4)
    started = {event["key"]: event for event in events if event["event"] == "trial_started"}
    ended = {event["key"]: event for event in events if event["event"] == "trial_finished"}
    assert set(started) == set(ended)
    assert {event["key"] for event in events if event["event"] == "phase"} == set(started)
    assert [event["finished"] for event in ended.values()] == [1, 2, 3, 4]
    for key, event in ended.items():
        train = started[key]["task"] == "train"
        assert event["status"] == "ok"
        assert ("samples_per_second" if train else "inference_latency_mean_ms") in event["figures"]
    assert list(ended.values())[-1]["left_s"] == 0
    last = events[-1]
    assert (last["exit_status"], last["finished"], last["failed"], last["resume"]) == (0, 4, 0, None)
    assert str(tmp_path / "out" / "benchmark_results.json") in last["files"]
    assert all(Path(file).is_file() for file in last["files"])
    results = json.loads((tmp_path / "out" / "benchmark_results.json").read_text())
    rows = {row["framework"]: row for row in results["rows"]}
    for key, event in started.items():
        told = ended[key]["figures"].get("samples_per_second")
        assert told in (None, rows[event["framework"]]["samples_per_second"])


@pytest.mark.long
def test_a_verification_is_told_too_and_so_is_a_failure(tmp_path: Path, quick: dict[str, float]) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "models": ["mlp"],
                "frameworks": ["numpy"],
                "num_epochs": 1,
                "measure": quick,
                "precision": ["fp32", "bf16"],
            }
        )
    )
    done = subprocess.run(
        [MLBENCH, "run", "--config", "config.json", "--json-events", "--output", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    events = checked(done.stdout)
    assert any(event["event"] == "verified" for event in events), done.stderr
    ended = [event for event in events if event["event"] == "trial_finished"]
    failed = [event for event in ended if event["status"] != "ok"]
    assert {event["status"] for event in failed} == {"unsupported"}
    assert all(event["reason"] and not event["figures"] for event in failed)
    assert (events[-1]["exit_status"], events[-1]["failed"], len(ended)) == (1, len(failed), 2 * len(failed))
    assert done.returncode == 1


def test_a_block_that_is_added_is_told() -> None:
    lines: list[str] = []
    records = made(("numpy",), ("mlp",), (32,), blocks=2).records
    first, second = ([record for record in records if record.trial.block == block] for block in (0, 1))
    events = Events(lines.append)
    events.trials([record.trial for record in first])
    for record in first:
        events.on_event(record.trial, {"event": "start"})
        events.on_event(record.trial, {"event": "record", "record": record})
    events.on_event(second[0].trial, {"event": "extended", "trials": [record.trial for record in second], "why": "so"})
    (extended,) = [event for event in checked("\n".join(lines)) if event["event"] == "extended"]
    assert (extended["block"], extended["why"], extended["added"], extended["trials"]) == (1, "so", 2, 4)


def test_docs_events_md_names_every_event_and_every_field() -> None:
    text = (ROOT / "docs" / "reference" / "events.md").read_text(encoding="utf-8")
    parts = dict(zip(*[iter(re.split(r"^## `(\w+)`$", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert set(parts) == {kind.name for kind in KINDS}
    for kind in KINDS:
        told = re.findall(r"^\| `(\w+)` \|", parts[kind.name], re.MULTILINE)
        assert told == [each.name for each in fields(kind)], kind.name
        for each in fields(kind):
            assert each.name in get_type_hints(kind)


@pytest.mark.long
def test_quiet_prints_the_last_line_alone(tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Written: out/benchmark_results.csv, .*\n", done.stdout)


def test_quiet_says_what_went_wrong(tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick, "--quiet", "--precision", "bf16")
    assert done.returncode == 1
    assert done.stdout.startswith("Written: ")
    assert done.stdout.count("\n") == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 4
    assert all(re.match(r"mlbench: unsupported: (numpy|toy)-mlp-cpu-bs\d+-bf16-", line) for line in lines)


@pytest.mark.parametrize("other", ["--quiet", "--dry-run"])
def test_json_events_go_alone(other: str, tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick, "--json-events", other)
    assert (done.returncode, done.stdout) == (2, "")
    assert other in done.stderr


@pytest.mark.long
def test_without_a_terminal_each_trial_is_a_line(tmp_path: Path, quick: dict[str, float]) -> None:
    done = run(tmp_path, quick)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("[")]
    form = re.compile(r"\[(\d)/4\] ok +\d+\.\d s  (\S+): ([\d,]+ samples/s|\S+ ms per query)  left \d:\d\d:\d\d")
    found = [form.fullmatch(line) for line in told]
    assert all(found), told
    assert [match[1] for match in found if match] == ["1", "2", "3", "4"]
    assert told[-1].endswith("left 0:00:00")
    assert "\x1b" not in done.stdout
    assert "━━╸" not in done.stdout


RECORDS = made(("numpy",), ("mlp",), (32,), blocks=1).records
TRAIN, INFER = (next(record for record in RECORDS if record.trial.task == task) for task in ("train", "infer"))


@pytest.mark.parametrize(
    ("record", "names", "words"),
    [
        (
            TRAIN,
            {"samples_per_second", "first_step_s", "total_train_time", "final_val_accuracy"},
            r"[\d,]+ samples/s",
        ),
        (INFER, {"inference_samples_per_second", "inference_latency_mean_ms"}, r"[\d.]+ ms per query"),
        (evolve(TRAIN, status="failed", reason="why"), set(), ""),
        (
            evolve(TRAIN, measured=evolve(TRAIN.measured, values=[], epochs=[], final_val_accuracy=float("nan"))),
            {"first_step_s"},
            "",
        ),
    ],
    ids=["training", "inference", "failed", "little"],
)
def test_figures_are_those_that_there_are(record: Record, names: set[str], words: str) -> None:
    assert set(figures(record)) == names
    assert re.fullmatch(words, main_figure(record))


def test_a_line_of_a_trial_that_failed_says_why() -> None:
    lines: list[str] = []
    trials = TrialLines(lines.append, [TRAIN.trial, INFER.trial], Remaining([TRAIN.trial, INFER.trial]))
    failed = evolve(TRAIN, status="crashed", reason="the worker was killed")
    for record in (failed, INFER):
        trials.on_event(record.trial, {"event": "start"})
        trials.on_event(record.trial, {"event": "record", "record": record})
    assert lines[0].startswith("[1/2] crashed ")
    assert ": the worker was killed  left " in lines[0]
    trials.on_event(
        evolve(INFER.trial, block=1), {"event": "extended", "trials": [INFER.trial] * 8, "why": "as the clock says"}
    )
    assert lines[2] == "block 2: as the clock says"
    trials.on_event(INFER.trial, {"event": "record", "record": INFER})
    assert lines[3].startswith("[ 3/10] ok ")
