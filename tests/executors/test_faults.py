"""Frameworks that go wrong in every way that we know, in one run, beside one that does not: each has its outcome, the others
complete, and nothing is left."""

import contextlib
import importlib
import os
import re
import tempfile
import tomllib
from pathlib import Path

import psutil
import pytest

from mlbench_core import Results, Suite
from mlbench_core.executors.log import FIRST, LAST
from mlbench_core.keys import PHASES
from mlbench_core.record import Ending

PACKAGE = Path(__file__).parents[1] / "packages" / "mlbench-faults"
LIMITS = {"first_step": 8.0, "measure": 12.0}
"""A healthy step takes milliseconds."""

WANTED = {
    "raises": ("failed", r"^RuntimeError: the fault was asked for$"),
    "exits": ("crashed", r"^the worker exited with status 7 during first_step; see "),
    "segfaults": ("crashed", r"^the worker was killed by SIGSEGV during first_step; see .*"),
    "hangs": (
        "timeout",
        r"^stopped during first_step after the limit of the phase first_step of 8 s \(phase_limit_s\)$",
    ),
    "ignores-sigterm": ("timeout", r"^stopped during first_step after .* 8 s"),
    "starts-a-daemon": ("ok", "^$"),
    "allocates": (
        "out-of-memory",
        r"^out of memory on the host during first_step \(host_resident [\d.]+ GB\): MemoryError; take a smaller batch size",
    ),
    "is-killed": ("crashed", r"^the worker was killed by SIGKILL during first_step; see "),
    "floods": ("ok", "^$"),
    "returns-nan": ("diverged", r"^the loss of epoch 1 is nan: training diverged; "),
    "sends-half-a-record": ("crashed", r"^the worker exited with status 0 during first_step; see .*cut off"),
    "stops-reading": ("timeout", r"^stopped during measure after the limit of the phase measure of 12 s"),
    "never-settles": ("ok", "^$"),
    "numpy": ("ok", "^$"),
}


@pytest.fixture
def points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The frameworks of the package, which is found as an installed one is, and only here: elsewhere `all` would mean them."""
    found = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["entry-points"]["mlbench.frameworks"]
    info = tmp_path / "site" / "mlbench_faults-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlbench-faults\nVersion: 1.0\n")
    lines = [f"{name} = {module}" for name, module in found.items()]
    (info / "entry_points.txt").write_text("\n".join(["[mlbench.frameworks]", *lines]))
    path = [str(tmp_path / "site"), str(PACKAGE / "src")]
    for place in path:
        monkeypatch.syspath_prepend(place)
    importlib.invalidate_caches()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*path, os.environ.get("PYTHONPATH", "")]))
    return list(found)


@pytest.mark.long
def test_each_fault_has_its_outcome_and_the_rest_of_the_run_completes(
    points: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    """All in one test, as it is one run, whose arms take turns with each other."""
    assert {*points, "numpy"} == set(WANTED)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    suite = Suite(
        frameworks=[*points, "numpy"],
        models=["mlp"],
        num_epochs=1,
        threads=1,
        output=str(tmp_path / "out"),
        measure=quick | {"steady_window": 5, "steady_limit": 15},
        phase_limit_s=LIMITS,
    )
    results = suite.run(verify=False)
    trained = {record.trial.framework: record for record in results.records if record.trial.task == "train"}
    answered = {record.trial.framework: record for record in results.records if record.trial.task == "infer"}
    assert {name: record.status for name, record in trained.items()} == {
        name: status for name, (status, _) in WANTED.items()
    }
    for name, record in trained.items():
        assert re.search(WANTED[name][1], record.reason), (name, record.reason)
        assert "\n" not in record.reason
    assert {name: (record.status, record.reason) for name, record in answered.items()} == dict.fromkeys(
        WANTED, ("ok", "")
    )
    check_facts({name: record.ending for name, record in trained.items()})
    for record in results.records:
        assert set(record.measured.phases) <= {*PHASES, "waiting"}
    again = {record.trial.key: record for record in Results.load(tmp_path / "out").records}
    assert all(again[record.trial.key].ending == record.ending for record in results.records)
    (row,) = (row for row in results.rows if row.framework == "never-settles")
    assert ("no steady state", "unstable") in {(flag.name, flag.level) for flag in row.flags}
    check_flood(Path(trained["floods"].log))
    check_nothing_is_left(tmp_path, [Path(trained[name].log).read_text() for name in ("exits", "starts-a-daemon")])


def check_facts(endings: dict[str, Ending]) -> None:
    """What is known of each, beside the line that says so."""
    assert {name for name, (status, _) in WANTED.items() if status == "ok"} == {
        name for name, ending in endings.items() if ending == Ending()
    }
    raised = endings["raises"]
    assert (raised.phase, raised.exception, raised.message) == (
        "first_step", "RuntimeError", "the fault was asked for",
    )  # fmt: skip
    assert any("RuntimeError" in line for line in raised.last_lines)
    assert endings["exits"].exit_status == 7
    assert (endings["segfaults"].signal, endings["segfaults"].exit_status) == ("SIGSEGV", None)
    assert "about to read address 0" in endings["segfaults"].last_lines
    assert (endings["hangs"].limit_s, endings["hangs"].phase) == (LIMITS["first_step"], "first_step")
    short = endings["allocates"]
    ((name, size),) = ((reading.name, reading.bytes) for reading in short.memory)
    assert (short.out_of, name) == ("host", "host_resident")
    assert size > 2**27  # it could have twice as much
    assert all(len(ending.last_lines) <= 20 for ending in endings.values())


def check_flood(log: Path) -> None:
    """It fills no disk, and what the worker says last is there."""
    assert log.stat().st_size < FIRST + LAST + 1000
    text = log.read_bytes()
    assert b"bytes are left out here]" in text
    assert b"mlbench modules: [" in text[-LAST:]


def check_nothing_is_left(place: Path, logs: list[str]) -> None:
    """No process, no file. logs: of the faults that told what their daemons had."""
    left = [match.groups() for log in logs for match in re.finditer(r"^left (\d+) (\S+) (\S+)$", log, re.MULTILINE)]
    assert len(left) == 2
    for pid, folder, segment in left:
        assert folder.startswith(str(place))
        with contextlib.suppress(psutil.NoSuchProcess):  # whoever inherits a daemon may be slow to ask for its status
            assert psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
        assert not Path(segment).exists()
    assert list((place / "tmp").iterdir()) == []
    assert psutil.Process().children() == []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            assert not process.environ().get("TMPDIR", "").startswith(str(place)), process
