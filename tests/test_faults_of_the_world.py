"""A full disk, a folder that vanishes, a clock that jumps: one clear line, and nothing finished is lost."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlbench_core import Results

MLBENCH = str(Path(sys.executable).with_name("mlbench"))
ROOT = Path(__file__).parents[1]


def command(folder: Path, quick: dict[str, float], *options: str, blocks: int = 1) -> list[str]:
    config = {"frameworks": ["numpy"], "models": ["mlp"], "num_epochs": 1, "measure": quick, "blocks": blocks}
    (folder / "config.json").write_text(json.dumps(config | {"limits": {"mfu": 1e6}}))
    return [MLBENCH, "run", "--config", "config.json", "--no-verify", "--output", "out", *options]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder `out` on a disk of its own, of 1 MiB."""
    folder = tmp_path / "out"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def rescued(said: str) -> Path:
    """Where the results are, by the line that says it."""
    (found,) = re.findall(
        r"^mlbench: error: the results cannot be written to 'out', and are in '(.*)'$", said, re.MULTILINE
    )
    return Path(found)


@pytest.mark.long
def test_a_full_disk_loses_nothing_that_has_ended(small_disk: Path, quick: dict[str, float]) -> None:
    """It is full once the first trial has ended; a person goes on when there is room again."""
    folder = small_disk.parent
    with subprocess.Popen(
        command(folder, quick, "--quiet", blocks=50),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not _records(small_disk):
            assert process.poll() is None
        with contextlib.suppress(OSError), (small_disk / "large").open("wb", buffering=0) as large:
            while True:
                large.write(b"0" * 4096)
        printed, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert "Traceback" not in said
    assert (
        len(re.findall("^mlbench: error: out/journal.jsonl: cannot be written .No space left on device.", said, re.M))
        == 1
    )
    rescue = rescued(said)
    try:
        assert str(rescue / "benchmark_results.json") in printed
        found = Results.load(rescue)
        assert found.interrupted
        assert {record.status for record in found.records} == {"ok"}
    finally:
        shutil.rmtree(rescue)
    (small_disk / "large").unlink()
    kept = _records(small_disk)
    assert len(found.records) >= len(kept) > 0
    with subprocess.Popen(
        [MLBENCH, "resume", "out"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("Resumed: ") for line in process.stdout)
        process.terminate()
        process.communicate(timeout=60)
    assert set(_records(small_disk)) >= set(kept)


def _records(folder: Path) -> list[str]:
    """The keys of the trials in a journal, torn lines left out."""
    if not (folder / "journal.jsonl").exists():
        return []
    found = []
    for line in (folder / "journal.jsonl").read_bytes().splitlines():
        try:
            content: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        if content["kind"] == "record":
            found.append(json.dumps(content["data"]["trial"], sort_keys=True))
    return found


@pytest.mark.long
def test_a_folder_that_vanishes_ends_the_run_and_loses_nothing(tmp_path: Path, quick: dict[str, float]) -> None:
    with subprocess.Popen(
        command(tmp_path, quick, "--quiet", blocks=50),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not _records(tmp_path / "out"):
            assert process.poll() is None
        ended = len(_records(tmp_path / "out"))
        shutil.rmtree(tmp_path / "out")
        _printed, said = process.communicate()
    assert process.returncode == 1, said
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if line.startswith("mlbench: error: ")]
    assert len(errors) == 1, said
    found = Results.load(tmp_path / "out")
    assert found.interrupted
    assert len(found.records) >= ended > 0


@pytest.mark.long
def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, quick: dict[str, float]) -> None:
    """Data must lie on the disk for workers; what is proven and what is known of durations is merely not kept."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("parity", "durations"):
        (cache / name).touch()  # where a folder should be: nothing can be written, not even by root
    arguments = [word for word in command(tmp_path, quick, "--quiet") if word != "--no-verify"]
    environment = {**os.environ, "MLBENCH_CACHE": str(cache)}
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "full").touch()
    environment["MLBENCH_CACHE"] = str(tmp_path / "full")
    arguments[arguments.index("out")] = "other"
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"mlbench: error: .*dataset: digits cannot be written to .*: Not a directory\n", done.stderr)


def test_no_duration_depends_on_the_clock_on_the_wall() -> None:
    """Which jumps: durations are differences of monotonic clocks, and the time of day is only ever written down."""
    wall = re.compile(r"\btime\.time\(|\btime_ns\(|from time import [^\n]*\btime\b|\b(utcnow|today)\(|datetime\.now\(")
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in (ROOT / "mlbench_core", *(ROOT / "plugins").glob("*/src"))
        for path in folder.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if wall.search(line) and "datetime.now(UTC).isoformat(" not in line and "monotonic_ns" not in line
    }
    assert found == set()
