"""Kills a run with SIGKILL at random moments and resumes it, again and again: nothing that has ended may be lost.

`nox -s chaos` kills 100 times. The runs are of a fake framework with two arms, so that a trial takes a second; moments fall
into the start, the verification, trials, what lies between them, and the writing of results. Checked after each kill: no
process is left, no record is lost; and at the end of each run: its results hold the trials of an undisturbed run, each once,
and no block was run again that had been measured in one go.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
from attrs import field, frozen

from mlbench_core import Results
from mlbench_core.results.groups import grouped
from mlbench_core.runner.journal import NAME
from mlbench_core.runner.journal_reader import Contents, read
from mlbench_core.runner.resume import block_of
from mlbench_core.testing.fakes import Behaviour, variables

MARK = "MLBENCH_CHAOS"
"""The variable by which processes of a run are known, however far down they are."""
PATIENCE_S = 10.0
"""A process that has not ended so long after its parent was killed counts as left."""
MLBENCH = [sys.executable, "-c", "from mlbench_core.cli import main; main()"]
SHARE = 0.5
"""A run is killed at the latest after this share of what an undisturbed one takes, so that it takes several attempts."""
CONFIG: dict[str, Any] = {
    "frameworks": ["fake"],
    "models": ["mlp"],
    "execution": ["eager", "compiled"],
    "num_epochs": 1,
    "measure": {
        "warmup_steps": 1, "warmup_seconds": 0, "value_seconds": 0.001, "min_values": 3, "min_seconds": 0, "steady_limit": 0,
        "latency_steps": 20, "queries": 20,
    },
}  # fmt: skip


@frozen(kw_only=True)
class Place:
    """Where the runs of one call lie. variables: of their processes."""

    folder: Path
    mark: str = field(factory=lambda: uuid.uuid4().hex)

    @property
    def variables(self) -> dict[str, str]:
        behaviours = variables(eager=Behaviour(step_s=1e-4), compiled=Behaviour(step_s=1e-4))
        quiet = {"MLBENCH_DISABLE_PLUGINS": "report", "MLBENCH_CACHE": str(self.folder / "cache")}
        return {**os.environ, **behaviours, **quiet, MARK: self.mark}

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """mlbench, quietly."""
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen([*MLBENCH, *args], cwd=self.folder, env=self.variables, stdout=said, stderr=said)

    def command(self, output: str, rng: random.Random) -> list[str]:
        """What goes on with a run, in either way once it has begun; or begins it."""
        begun = read(self.folder / output / NAME) is not None
        if begun and rng.random() < 0.5:
            return ["resume", output]
        return ["run", "--config", "config.json", "--output", output, "--resume"]

    def left(self) -> list[int]:
        """The processes that still run a while after their parent was killed."""
        end = time.monotonic() + PATIENCE_S
        while (found := self._running()) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def _running(self) -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


class ChaosError(Exception):
    """Something was lost, run twice, or left."""


def chaos(kills: int, blocks: int, seed: int, folder: Path) -> list[int]:
    """Kills so often; returns how often each run was killed. Raises ChaosError for the first thing that is wrong."""
    rng, place = random.Random(seed), Place(folder=folder)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "blocks": blocks}))
    start = time.monotonic()
    if place.start("run", "--config", "config.json", "--output", "undisturbed").wait() not in (0, 1):
        raise ChaosError(f"the undisturbed run failed: {_said(folder)}")
    longest = SHARE * (time.monotonic() - start)
    wanted = sorted(record.trial.key for record in Results.load(folder / "undisturbed").records)
    counts: list[int] = []
    while sum(counts) < kills:
        output = f"run{len(counts)}"
        counts.append(_one(place, output, kills - sum(counts), longest, rng))
        _check_results(folder / output, wanted)
        print(f"{output}: killed {counts[-1]} times, resumed, complete", flush=True)
    return counts


def _one(place: Place, output: str, most: int, longest: float, rng: random.Random) -> int:
    """Kills and resumes a run until it is complete, or was killed `most` times and then left alone; returns how often."""
    kills, before = 0, None
    while True:
        process = place.start(*place.command(output, rng))
        try:
            status = process.wait(rng.uniform(0.0, longest) if kills < most else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            left = place.left()
            if left:
                raise ChaosError(f"{output}: left running after kill {kills}: {left}") from None
            after = read(place.folder / output / NAME)
            _check_kept(output, before, after)
            before = after
        else:
            if status not in (0, 1):
                raise ChaosError(f"{output}: ended with status {status}: {_said(place.folder)}")
            _check_kept(output, before, read(place.folder / output / NAME))
            return kills


def _check_kept(output: str, before: Contents | None, after: Contents | None) -> None:
    """Whatever the journal held it still holds."""
    known, now = (
        [(part, record.trial.key, record.started) for part, record in contents.records] if contents else []
        for contents in (before, after)
    )
    if now[: len(known)] != known:
        raise ChaosError(f"{output}: the journal has lost records")


def _check_results(folder: Path, wanted: list[str]) -> None:
    results, contents = Results.load(folder), read(folder / NAME)
    if contents is None or contents.torn:
        raise ChaosError(f"{folder}: the journal of a complete run is not complete")
    found = sorted(record.trial.key for record in results.records)
    if found != wanted or results.interrupted:
        raise ChaosError(f"{folder}: other trials than those of an undisturbed run: {found}, not {wanted}")
    if len(results.parts) != len(contents.headers):
        raise ChaosError(f"{folder}: {len(results.parts)} parts in the results, {len(contents.headers)} in the journal")
    arms = len(CONFIG["execution"])
    for block, ended in grouped(contents.records, lambda one: block_of(one[1].trial)).items():
        *earlier, last = grouped(ended, lambda one: one[0]).values()
        if len(last) != arms or any(len(part) >= arms for part in earlier):
            raise ChaosError(f"{folder}: a block was run again, or not as a whole: {block}")
        kept = [record for record in results.records if block_of(record.trial) == block]
        if {record.started for record in kept} != {record.started for _, record in last}:
            raise ChaosError(f"{folder}: the results do not hold the last records of a block: {block}")


def _said(folder: Path) -> str:
    return " / ".join((folder / "said").read_text(errors="replace").splitlines()[-5:])


def main() -> None:
    """Kills, checks, prints the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlbench-chaos-") as folder:
        try:
            counts = chaos(given.kills, given.blocks, given.seed, Path(folder))
        except ChaosError as error:
            sys.exit(f"seed {given.seed}: {error}")
    print(
        f"{sum(counts)} kills in {len(counts)} runs (seed {given.seed}): no trial lost or run twice, no process left, and the "
        "results hold the trials of an undisturbed run"
    )


if __name__ == "__main__":
    main()
