"""What of an interrupted run is kept, what must be the same, and runs that are resumed from end to end."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from made import FACTS, made

from mlbench_core import Results, Suite
from mlbench_core.errors import ConfigError, JournalError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.record import Record
from mlbench_core.runner.journal import NAME, Header
from mlbench_core.runner.journal_reader import Contents, End, read
from mlbench_core.runner.resume import differences, framework_differences, kept_of
from mlbench_core.trial import Trial

RESULTS = made(frameworks=("numpy", "toy"), models=("mlp",), batch_sizes=(32,), blocks=3, queries=10, values=3)
TRIALS = [record.trial for record in RESULTS.records]  # per block: train numpy, infer numpy, train toy, infer toy


def header(**changes: Any) -> Header:
    plain: dict[str, Any] = {
        "run": "r", "started": "2026-11-01T00:00:00+00:00", "mlbench": "26.11.1", "config_digest": "d",
        "config": RESULTS.config, "folder": "/somewhere", "seed": 0, "machine": "made", "facts": FACTS,
    }  # fmt: skip
    return Header(**(plain | changes))


def contents(*parts: list[Record], parity: Any = None) -> Contents:
    return Contents(
        headers=tuple(header() for _ in parts),
        records=tuple((number, record) for number, part in enumerate(parts) for record in part),
        parity=parity,
        batches=(),
        machines={"made": FACTS},
        end=End(size=0, sum="", machines=frozenset()),
        torn=False,
    )


def record_of(framework: str, task: str, block: int, **changes: Any) -> Record:
    (found,) = (
        record
        for record in RESULTS.records
        if (record.trial.framework, record.trial.task, record.trial.block) == (framework, task, block)
    )
    return evolve(found, **changes)


def names(records: tuple[Record, ...]) -> list[str]:
    return [f"{record.trial.framework} {record.trial.task} {record.trial.block}" for record in records]


def test_a_block_is_kept_or_run_again_as_a_whole() -> None:
    first = [record_of("numpy", "train", 0), record_of("toy", "train", 0), record_of("numpy", "infer", 0)]
    kept = kept_of(contents(first), TRIALS, retry_failed=False)
    assert names(kept.records) == ["numpy train 0", "toy train 0"]
    assert names(kept.aside) == ["numpy infer 0"]
    left = kept.left(TRIALS)
    assert len(left) == len(TRIALS) - 2
    assert record_of("numpy", "infer", 0).trial in left


def test_arms_that_were_measured_in_different_parts_are_no_pair() -> None:
    """The first part ended after one arm; the second, which ran both again, after the other."""
    parts = [record_of("numpy", "train", 0)], [record_of("toy", "train", 0)]
    assert kept_of(contents(*parts), TRIALS, retry_failed=False).records == ()
    again = record_of("numpy", "train", 0, started="later")
    whole = kept_of(contents(*parts, [again, record_of("toy", "train", 0)]), TRIALS, retry_failed=False)
    assert names(whole.records) == ["numpy train 0", "toy train 0"]
    assert whole.records[0] == again  # the latest


@pytest.mark.parametrize(
    ("status", "retry_failed", "kept"),
    [
        ("failed", False, True), ("failed", True, False), ("timeout", True, False), ("crashed", True, False),
        ("unsupported", True, True), ("ok", True, True), ("interrupted", False, False),
    ],
)  # fmt: skip
def test_failed_trials_are_kept_unless_they_are_to_be_retried(status: Any, retry_failed: bool, kept: bool) -> None:
    records = [record_of("numpy", "train", 1), record_of("toy", "train", 1, status=status)]
    found = kept_of(contents(records), TRIALS, retry_failed)
    assert len(found.records) == (2 if kept else 0)
    assert len(found.aside) == (0 if kept else 2)


def test_blocks_that_were_added_are_kept_and_what_is_not_asked_for_is_not() -> None:
    records = [record_of(framework, "train", block) for block in range(3) for framework in ("numpy", "toy")]
    trials = [trial for trial in TRIALS if trial.block == 0]
    assert len(kept_of(contents(records), trials, retry_failed=False).records) == 6
    alone = [trial for trial in trials if trial.framework == "numpy"]
    found = kept_of(contents(records), alone, retry_failed=False)
    assert names(found.records) == ["numpy train 0", "numpy train 1", "numpy train 2"]
    assert found.aside == ()
    seeded = [evolve(trial, seed=1) for trial in trials]
    other = kept_of(contents(records), seeded, retry_failed=False)
    assert (other.records, other.aside) == ((), ())


def test_what_is_set_aside_counts_until_its_block_begins_again() -> None:
    kept = kept_of(contents([record_of("numpy", "train", 1)]), TRIALS, retry_failed=False)
    elsewhere, again = record_of("toy", "infer", 2), record_of("toy", "train", 1)
    assert names(kept.until([])) == ["numpy train 1"]
    assert names(kept.until([elsewhere])) == ["numpy train 1", "toy infer 2"]
    assert names(kept.until([elsewhere, again])) == ["toy train 1", "toy infer 2"]


def test_calibrations_of_the_first_part_are_kept() -> None:
    record = record_of("numpy", "train", 0)
    assert kept_of(contents([record]), TRIALS, retry_failed=False).calibrations == {
        record.trial.arm: record.measured.calibration
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"facts": {**FACTS, "load_average": [9.0], "cpu_mhz": 1.0}, "started": "later", "run": "other"}, []),
        (
            {
                "config": {**RESULTS.config, "blocks": 4, "measure": {"queries": 9}, "output": "moved"},
                "config_digest": "e",
            },
            ["configuration, blocks: 3 then, 4 now", "configuration, measure.queries: 1000 then, 9 now"],
        ),
        ({"facts": {**FACTS, "cpu": "Other"}}, ["machine, cpu: Made CPU @ 2.0 GHz then, Other now"]),
        ({"facts": {**FACTS, "cpu_affinity": [0]}}, ["machine, CPUs allowed: 2 then, 1 now"]),
        ({"mlbench": "26.12.0"}, ["mlbench: 26.11.1 then, 26.12.0 now"]),
        ({"facts": {**FACTS, "python": "3.12.1"}}, ["Python: 3.11.7 then, 3.12.1 now"]),
        ({"planned": {"frameworks": ["numpy", "toy"]}}, ["trials, frameworks: numpy then, numpy, toy now"]),
        ({"skipped": ("jax",)}, ["skipped frameworks: nothing then, jax now"]),
    ],
)
def test_a_difference_says_both_values(changes: dict[str, Any], said: list[str]) -> None:
    then = header(planned={"frameworks": ["numpy"]})
    found = differences(then, evolve(then, **changes))
    assert [line for line in found if not line.startswith("configuration, measure.") or line in said] == said


def info(version: str, **versions: str) -> FrameworkInfo:
    return FrameworkInfo(
        name="toy", version=version, devices=("cpu",), precisions=("fp32",), executions=("eager",),
        default_execution="eager", versions=versions,
    )  # fmt: skip


def test_another_version_of_a_framework_is_a_difference() -> None:
    found = contents([record_of("toy", "train", 0)])  # says 1.0, and toy's toy 1.0
    assert framework_differences(found, {"toy": info("1.0", toy="1.0")}) == []
    assert framework_differences(found, {"toy": info("1.0", toy="1.0", more="2")}) == []
    assert framework_differences(found, {"toy": info("2.0", toy="1.1")}) == [
        "toy: 1.0 then, 2.0 now",
        "toy's toy: 1.0 then, 1.1 now",
    ]
    assert framework_differences(found, {"toy": "it is gone"}) == ["toy cannot be used now: it is gone"]
    assert framework_differences(found, {"numpy": info("9")}) == []  # nothing is known of it
    proven = contents([], parity=tuple(one for one in RESULTS.parity if one.framework == "toy"))
    assert framework_differences(proven, {"toy": info("2.0")}) == ["toy: 1.0 then, 2.0 now"]


class Stopped:
    """Interrupts a run after so many records, as Ctrl-C does; counts the trials that start."""

    def __init__(self, after: int) -> None:
        self.left, self.started = after, []  # type: ignore[var-annotated]

    def __call__(self, trial: Trial, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            self.started.append(trial.key)
        if event["event"] == "record":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.fixture
def suite(tmp_path: Path, quick: dict[str, float]) -> Callable[..., Suite]:
    def make(**keys: Any) -> Suite:
        plain: dict[str, Any] = {
            "frameworks": ["numpy", "toy"], "models": ["mlp"], "num_epochs": 1, "blocks": 2, "measure": quick,
            "output": str(tmp_path / "out"),
        }  # fmt: skip
        return Suite(**(plain | keys))

    return make


def test_a_resumed_run_holds_the_trials_of_an_undisturbed_one(suite: Callable[..., Suite], tmp_path: Path) -> None:
    """Interrupted twice: after three trials, of which two are a block, and after two more."""
    wanted = sorted(trial.key for trial in suite().trials)
    first = suite().run(Stopped(3), verify=False)
    assert (first.interrupted, len(first.records)) == (True, 3)
    second = Stopped(2)
    between = suite().run(second, verify=False, resume=True)
    assert between.interrupted
    third = Stopped(-1)
    results = suite().run(third, verify=False, resume=True)
    assert not results.interrupted
    assert sorted(record.trial.key for record in results.records) == wanted
    assert {record.status for record in results.records} == {"ok"}
    assert [record.trial.block for record in results.records] == sorted(r.trial.block for r in results.records)
    assert len(results.parts) == 3
    assert results.forced == ()
    # Two blocks of two arms each were complete: their four trials are not run again, and no other is left out.
    whole = {record.trial.key for record in first.records[:2]}
    assert not whole & {*second.started, *third.started}
    assert len(third.started) == len(wanted) - 4
    data = json.loads((tmp_path / "out" / "benchmark_results.json").read_text())
    assert (data["resumed"], len(data["parts"])) == (2, 3)
    assert Results.load(tmp_path / "out") == results
    assert len(results.machines) == 1  # one machine is not made to look like three
    calibrations = {}
    for record in results.records:
        calibrations.setdefault(record.trial.arm, set()).add(record.measured.calibration)
    assert {len(found) for found in calibrations.values()} == {1}  # found in the first part, used in the others


def test_nothing_is_run_again_once_all_is_there(suite: Callable[..., Suite]) -> None:
    results = suite(frameworks=["toy"], blocks=1).run(verify=False)
    follow = Stopped(-1)
    again = suite(frameworks=["toy"], blocks=1).run(follow, verify=False, resume=True)
    assert follow.started == []
    assert again.records == results.records


def test_without_a_run_to_resume_one_begins(suite: Callable[..., Suite], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAME).write_text('{"sum": "0123')  # killed while the header was written
    results = suite(frameworks=["toy"], blocks=1).run(verify=False, resume=True)
    assert (len(results.records), len(results.parts)) == (2, 1)


def test_a_second_run_is_refused_and_may_overwrite(suite: Callable[..., Suite], tmp_path: Path) -> None:
    few = {"frameworks": ["toy"], "blocks": 1}
    first = suite(**few).run(verify=False)
    with pytest.raises(ConfigError, match="holds a run already"):
        suite(**few).run(verify=False)
    second = suite(**few).run(verify=False, overwrite=True)
    assert [record.trial for record in second.records] == [record.trial for record in first.records]
    found = read(tmp_path / "out" / NAME)
    assert found is not None
    assert len(found.records) == 2


@pytest.mark.long
def test_parity_of_the_first_part_is_kept(suite: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch) -> None:
    first = suite(frameworks=["numpy"]).run(Stopped(1))
    assert [result.verdict for result in first.parity] == ["verified"]

    def fail(*_args: object) -> None:
        raise AssertionError("verified again")

    monkeypatch.setattr("mlbench_core.runner.suite.verify", fail)
    results = suite(frameworks=["numpy"]).run(resume=True)
    assert results.parity == first.parity


@pytest.mark.long
def test_a_changed_run_is_refused_unless_forced_which_marks_the_results(suite: Callable[..., Suite]) -> None:
    suite().run(Stopped(2), verify=False)
    with pytest.raises(ConfigError) as caught:
        suite(blocks=3, seed=1).run(verify=False, resume=True)
    said = str(caught.value)
    assert "configuration, blocks: 2 then, 3 now; configuration, seed: 0 then, 1 now" in said
    assert "--force" in said
    assert "\n" not in said
    results = suite(blocks=1).run(verify=False, resume=True, force=True)
    assert results.forced == ("configuration, blocks: 2 then, 1 now",)
    assert len(results.records) == 4
    assert not results.interrupted


@pytest.mark.long
def test_another_version_of_a_framework_is_found_before_anything_is_measured(
    suite: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite().run(Stopped(2), verify=False)
    monkeypatch.setenv("TOY_VERSION", "7.0")
    follow = Stopped(-1)
    with pytest.raises(ConfigError, match=r"toy: \S+ then, 7.0 now"):
        suite().run(follow, verify=False, resume=True)
    assert follow.started == []


@pytest.mark.long
def test_failed_trials_are_retried_with_their_block(
    suite: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAULT", "raise")
    broken = suite(blocks=1).run(verify=False)
    assert [record.trial.framework for record in broken.failures()] == ["toy"]
    monkeypatch.delenv("TOY_FAULT")
    follow = Stopped(-1)
    assert suite(blocks=1).run(follow, verify=False, resume=True).failures() == broken.failures()
    assert follow.started == []
    mended = suite(blocks=1).run(follow, verify=False, resume=True, retry_failed=True)
    assert mended.failures() == []
    assert len(mended.records) == 4
    training = {record.trial.key for record in broken.records if record.trial.task == "train"}
    assert set(follow.started) == training  # the other arm too, so that the pair is one


def test_a_folder_that_vanishes_costs_nothing_that_has_ended(suite: Callable[..., Suite], tmp_path: Path) -> None:
    def vanish(_trial: Trial, event: dict[str, Any]) -> None:
        if event["event"] == "record":
            (tmp_path / "out").rename(tmp_path / "was")
            (tmp_path / "was" / NAME).unlink()

    with pytest.raises(JournalError, match="the run was stopped"):
        suite(frameworks=["toy"]).run(vanish, verify=False)
    results = Results.load(tmp_path / "out")
    assert results.interrupted
    assert len(results.records) == 2  # the one that was being measured, too


def test_options_that_make_no_sense_together_are_refused(suite: Callable[..., Suite]) -> None:
    for how, words in (
        ({"resume": True, "overwrite": True}, "leave one of the two out"),
        ({"force": True}, "--force goes with --resume"),
        ({"retry_failed": True}, "--retry-failed goes with --resume"),
    ):
        with pytest.raises(ConfigError, match=words):
            suite().run(verify=False, **how)


MLBENCH = str(Path(sys.executable).with_name("mlbench"))
RUN = ["run", "--frameworks", "toy", "--models", "mlp", "--epochs", "1", "--blocks", "2", "--output", "out"]


def mlbench(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MLBENCH, *args], capture_output=True, text=True, cwd=cwd, timeout=300)


def cut(journal: Path, records: int) -> None:
    """What a kill leaves: no results, the journal's first records, and half a line."""
    (journal.parent / "benchmark_results.json").unlink()
    lines = journal.read_bytes().splitlines(keepends=True)
    places = [place for place, line in enumerate(lines) if b'"kind": "record"' in line]
    journal.write_bytes(b"".join(lines[: places[records - 1] + 1]) + lines[places[records]][:50])


@pytest.mark.long
def test_one_word_goes_on_with_a_run_from_anywhere(tmp_path: Path, quick: dict[str, float]) -> None:
    """The folder of the run has an mlbenchfile.py, whose model the run is of."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    (home / "mlbenchfile.py").write_text(
        "from mlbench_core.hookspecs import ModelDescriptor, hookimpl\n"
        "from mlbench_core.trial import ModelSource\n"
        "@hookimpl\n"
        "def register_models():\n"
        "    source = ModelSource('mlbench_core.models.mlp:mlp')\n"
        "    return [ModelDescriptor(name='mine', source=source, takes='vector', description='')]\n"
    )
    (home / "quick.json").write_text(json.dumps({"measure": quick}))
    args = [arg if arg != "mlp" else "mine" for arg in RUN] + ["--config", "quick.json"]
    done = mlbench(*args, cwd=home)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = mlbench(*args, cwd=home)
    assert refused.returncode == 2
    assert re.search("'out' holds a run already .*--resume.*--output.*--overwrite", refused.stderr)
    assert refused.stderr.count("\n") == 1
    cut(home / "out" / NAME, 2)
    done = mlbench("resume", "../home/out", cwd=elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Resumed: 2 of 4 trials are finished and kept." in done.stdout
    assert "its last line was cut off as it was written, and is left out." in done.stdout
    assert "parity with the NumPy reference" not in done.stdout  # kept, too
    data = json.loads((home / "out" / "benchmark_results.json").read_text())
    assert (len(data["records"]), data["interrupted"], data["resumed"]) == (4, False, 1)
    assert {record["trial"]["model"] for record in data["records"]} == {"mine"}
    assert not (elsewhere / "results").exists()
    home.rename(tmp_path / "moved")
    gone = mlbench("resume", "moved/out", cwd=tmp_path)
    assert gone.returncode == 2
    assert "which cannot be entered (No such file or directory)" in gone.stderr
    assert gone.stderr.count("\n") == 1


@pytest.mark.long
def test_what_cannot_be_resumed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "benchmark_results.json").write_text("{}\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / NAME).write_text('{"key": "of an older mlbench"}\n')
    for args, words in (
        (["resume", "nowhere"], "there is no run to resume in it"),
        (["resume", "bad"], "journal.jsonl: line 1: it does not begin with a checksum"),
        ([*RUN[:-1], "old", "--resume"], "holds results and no journal to go on with"),
        ([*RUN, "--force"], "--force goes with --resume"),
    ):
        done = mlbench(*args, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.long
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves nobody to end them."""
    import signal

    import psutil

    environment = {**os.environ, "TOY_FAULT": "hang"}
    with subprocess.Popen(
        [MLBENCH, *RUN, "--no-verify"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL
    ) as run:
        parent = psutil.Process(run.pid)
        while not (workers := parent.children(recursive=True)):
            assert run.poll() is None
        run.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(workers, timeout=20)[1] == []


@pytest.mark.long
def test_what_a_killed_run_has_left_in_the_temporary_folder_the_next_one_removes(tmp_path: Path) -> None:
    import signal

    place = tmp_path / "tmp"
    place.mkdir()
    environment = {**os.environ, "TMPDIR": str(place), "MLBENCH_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen(
        [MLBENCH, *RUN, "--no-verify"],
        cwd=tmp_path,
        env={**environment, "TOY_FAULT": "hang"},
        stdout=subprocess.DEVNULL,
    ) as run:
        while not list(place.glob("mlbench-worker-*")):
            assert run.poll() is None
        run.send_signal(signal.SIGKILL)
    left = list(place.iterdir())
    assert left
    done = subprocess.run(
        [MLBENCH, *RUN, "--no-verify", "--overwrite"], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert not set(left) & set(place.iterdir())


@pytest.mark.long
def test_strict_is_remembered(tmp_path: Path, quick: dict[str, float]) -> None:
    """A model that a framework cannot be proven right on: the toy trains with another loss than it is asked to."""
    (tmp_path / "mlbenchfile.py").write_text(
        "from attrs import frozen\n"
        "from mlbench_core.architecture import Loss\n"
        "from mlbench_core.hookspecs import LossDescriptor, hookimpl\n"
        "from mlbench_core.trial import LossSource\n"
        "class Twice(Loss): pass\n"
        "def twice(): return Twice(name='twice')\n"
        "def on_numpy():\n"
        "    from mlbench_core.reference.losses import cross_entropy, make_loss\n"
        "    make_loss.register(Twice, lambda loss: lambda *of: tuple(2 * each for each in cross_entropy(*of)))\n"
        "@hookimpl\n"
        "def register_losses():\n"
        "    source = LossSource('mlbenchfile:twice', {'numpy': 'mlbenchfile:on_numpy'})\n"
        "    return [LossDescriptor(name='twice', source=source, description='')]\n"
    )
    (tmp_path / "quick.json").write_text(json.dumps({"measure": quick, "loss": "twice"}))
    args = [*RUN, "--config", "quick.json"]
    lax = mlbench(*args, cwd=tmp_path)
    assert lax.returncode == 0, lax.stdout + lax.stderr
    done = mlbench(*args, "--strict", "--overwrite", cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    cut(tmp_path / "out" / NAME, 2)
    assert mlbench("resume", "out", cwd=tmp_path).returncode == 3
