"""The local executor: one fresh process per trial on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from mlbench_core.hookspecs import ExecutorDescriptor, hookimpl
from mlbench_core.runner import devices
from mlbench_core.runner.monitor import Monitor
from mlbench_core.trial import Job, Measured, Observed, Record, Status, from_json, to_json

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip


GRACE_S = 1.0
"""A worker that has said its last word, or closed its events, has this long to leave."""


WORKER = "from mlbench_core.worker.__main__ import main; main()"
"""`python -m mlbench_core.worker` does the same two frames of `runpy` deeper: see `worker/trampoline.py`."""


@frozen
class ExecutorSetting:
    """What an executor needs besides the job: the interpreter, the time limit, the log file, and whom to tell of events."""

    python: str
    time_limit_s: float
    log: Path
    on_event: Callable[[dict[str, Any]], None] = field(default=lambda _event: None)


@frozen
class Ended:
    """How a worker ended: its last event, how it fared, and what was seen of it from outside."""

    last: dict[str, Any]
    status: Status
    reason: str
    observed: Observed


@hookimpl
def register_executors() -> list[ExecutorDescriptor]:
    """The one executor that comes with the core."""
    return [ExecutorDescriptor("local", "mlbench_core.runner.local:execute", "one process per trial on this machine")]


def execute(job: Job, setting: ExecutorSetting) -> Generator[None, None, Record]:
    """Runs a job in a fresh process, watches it, and returns what came of it; a trial that fails is a Record, no error.

    Yields whenever the worker has had its turn (`Job.takes_turns`); it goes on when the generator does. Closing the generator
    ends the worker.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="mlbench-") as scratch:
        payload = {"trial": to_json(evolve(job, scratch=scratch))}
        ended = yield from converse(payload, job.trial.device, job.trial.threads, setting)
    measured = from_json(ended.last["measured"], Measured) if ended.status == "ok" else Measured()
    return Record(job.trial, ended.status, ended.reason, measured, ended.observed, started, str(setting.log))


def converse(
    payload: dict[str, Any], device: str, threads: int, setting: ExecutorSetting
) -> Generator[None, None, Ended]:
    """Starts a worker, hands it the payload, follows its events to the end, and sees that nothing of it is left.

    Yields while the worker waits for its turn; that time does not count against its limit.
    """
    variables = worker_variables(device, threads)
    start = time.monotonic()
    with (
        setting.log.open("wb") as log,
        subprocess.Popen(
            [setting.python, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=variables,
            text=True,
            start_new_session=True,  # so that a time limit reaches whatever the framework itself has started
        ) as process,
    ):
        monitor = Monitor(process.pid, variables["CUDA_VISIBLE_DEVICES"] or None)
        limit = _Limit(process, setting.time_limit_s)
        try:
            last = yield from _follow(process, payload, monitor, limit, setting)
        except BaseException:  # Ctrl-C, or the generator is being closed: nobody waits for what it was doing
            _kill(process)
            raise
        finally:
            limit.pause()
            _end(process)
            observed = monitor.stop(time.monotonic() - start)
    if last.get("event") == "done":
        return Ended(last, "ok", "", observed)
    if last.get("event") == "failed":
        return Ended(last, last["status"], last["reason"], observed)
    if limit.reached:
        reason = f"stopped after the time limit of {setting.time_limit_s:g} s (time_limit_s)"
        return Ended(last, "timeout", reason, observed)
    return Ended(last, "crashed", _obituary(process.returncode, monitor.phase, setting.log), observed)


def worker_variables(device: str, threads: int) -> dict[str, str]:
    """The environment of a worker: this process's, its threads limited and its one device the only visible one."""
    mine = {name: str(threads) for name in THREAD_VARIABLES}
    mine["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else devices.visible()[int(device.partition(":")[2])]
    # Numbers of CUDA devices follow the bus, as NVML's do, so that both speak of the same card.
    return {**os.environ, **mine, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


class _Limit:
    """Kills a worker once it has had its seconds; they do not run while paused."""

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self.reached = False
        self._process, self._left = process, seconds
        self.resume()

    def resume(self) -> None:
        """Starts the clock, again."""
        self._since = time.monotonic()
        self._timer = threading.Timer(max(0.0, self._left), self._expire)
        self._timer.start()

    def pause(self) -> None:
        """Stops the clock."""
        self._timer.cancel()
        self._left -= time.monotonic() - self._since

    def _expire(self) -> None:
        self.reached = True
        _kill(self._process)


def _follow(
    process: subprocess.Popen[str],
    payload: dict[str, Any],
    monitor: Monitor,
    limit: _Limit,
    setting: ExecutorSetting,
) -> Generator[None, None, dict[str, Any]]:
    """Hands the payload over and follows the events; returns the last one, empty if there was none."""
    assert process.stdout is not None
    _tell(process, json.dumps(payload))
    last: dict[str, Any] = {}
    for line in process.stdout:
        try:
            last = json.loads(line)
        except ValueError:
            continue  # cut off by a crash in the middle of a line
        if last["event"] == "turn":
            limit.pause()
            monitor.waiting = True
            yield
            monitor.waiting = False
            limit.resume()
            _tell(process, "go")
            continue
        if last["event"] == "phase":
            monitor.phase = last["name"]
        setting.on_event(last)
        if last["event"] in ("done", "failed"):
            break
    return last


def _tell(process: subprocess.Popen[str], line: str) -> None:
    """Writes a line to the worker; if it has died, the end of its events will tell."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(line + "\n")
        process.stdin.flush()


def _end(process: subprocess.Popen[str]) -> None:
    """Waits a second for the worker to leave by itself, then ends it and everything it started."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # what it was told may still be on its way
        process.stdin.close()
    impatient = threading.Timer(GRACE_S, _kill, (process,))
    impatient.start()
    process.wait()
    impatient.cancel()
    _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kills the worker's whole process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _obituary(code: int, phase: str, log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"
    if code == -signal.SIGKILL:
        how += " (often: out of memory)"
    return f"the worker was {how} during {phase or 'its start'}; see {log}" + (f": {lines[-1][:200]}" if lines else "")
