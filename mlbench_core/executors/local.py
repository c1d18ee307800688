"""The local executor: one fresh process per request, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from attrs import evolve, frozen

from mlbench_core.devices import gpu_numbers
from mlbench_core.errors import MlbenchError
from mlbench_core.executor import Outcome, Request, Running, Setting
from mlbench_core.executors import deaths
from mlbench_core.executors.events import FINAL, parse
from mlbench_core.executors.limits import Limits
from mlbench_core.executors.log import Log
from mlbench_core.executors.monitor import Monitor
from mlbench_core.executors.pipes import Pipes
from mlbench_core.executors.processes import MARK, Family, new_mark
from mlbench_core.executors.scratch import scratch
from mlbench_core.executors.shared_memory import Segments
from mlbench_core.executors.waiting import after
from mlbench_core.hookspecs import ExecutorDescriptor, hookimpl
from mlbench_core.machine import gpus
from mlbench_core.machine.facts import machine_facts
from mlbench_core.record import Ending, MemoryReading
from mlbench_core.serialize import from_json, to_json
from mlbench_core.worker.failure import LESS

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip


GRACE_S = 1.0
"""A worker that has said its last word, or closed its events, has this long to leave."""


WORKER = "from mlbench_core.worker.__main__ import main; main({events})"
"""Says which descriptor takes the events. `python -m mlbench_core.worker` does the same two frames of `runpy` deeper: see
`worker/trampoline.py`."""


@hookimpl
def register_executors() -> list[ExecutorDescriptor]:
    """The one executor that comes with the core."""
    return [
        ExecutorDescriptor(
            name="local",
            run="mlbench_core.executors.local:run",
            machine="mlbench_core.executors.local:machine",
            description="one process per trial on this machine",
        )
    ]


def machine() -> dict[str, Any]:
    """The facts about this machine."""
    return machine_facts()


def run(request: Request, setting: Setting) -> Running[Outcome]:
    """Has a request done by a fresh process, watches it, and returns what came of it.

    Yields while the worker waits for its turn (`Job.takes_turns`); and, if it measures nothing, what to wait for until there
    may be news of it. Whatever way it ends, nothing of the worker is left.
    """
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    if shutil.which(setting.python) is None:
        reason = f"there is no Python interpreter {setting.python!r} that can be run (python, in frameworks)"
        return Outcome(status="failed", reason=reason, started=started)
    gpu = _gpu(request.device)
    if gpu is None:
        reason = (
            f"{request.device} can no longer be seen: nvidia-smi should list it, and CUDA_VISIBLE_DEVICES must allow it"
        )
        return Outcome(status="failed", reason=reason, started=started)
    start = time.monotonic()
    with scratch() as folder, Log(setting.log) as log:
        own = {"TMPDIR": folder, "CUDA_CACHE_PATH": f"{folder}/cuda"}
        variables = worker_variables(gpu, request.threads) | own
        limits = Limits(setting.time_limit_s, setting.phase_limit_s)
        kills = deaths.out_of_memory_kills()
        with contextlib.ExitStack() as stack:
            try:
                worker = stack.enter_context(_started(setting, variables, log))
            except _CannotRunError as error:
                return Outcome(status="failed", reason=str(error), started=started)
            monitor = Monitor(worker.process.pid, gpu)
            try:
                # Nothing runs before this: Ctrl-C may come while a thread is being started, too.
                monitor.start()
                limits.resume()
                last = yield from _follow(worker, request, monitor, limits, setting, log)
                worker.family.end(0.0 if limits.reached() or worker.pipes.stopped else GRACE_S, worker.pipes.move)
            finally:
                worker.family.end(meanwhile=worker.pipes.move)
                observed = monitor.stop(time.monotonic() - start)
        lines = log.last_lines(LAST_LINES)
    outcome = Outcome(status="ok", observed=observed, started=started, log=str(setting.log))
    if last.get("event") == "done":
        return evolve(outcome, answer=last)
    if last.get("event") == "failed":
        ending = from_json(last.get("ending", {}), Ending)
        return evolve(outcome, status=last["status"], reason=last["reason"], ending=evolve(ending, last_lines=lines))
    ending = Ending(phase=limits.phase, last_lines=lines)
    if worker.pipes.stopped:
        return evolve(outcome, status="interrupted", reason=f"given up during {limits.phase}", ending=ending)
    reached = limits.reached()
    if reached:
        return evolve(outcome, status="timeout", reason=str(reached), ending=evolve(ending, limit_s=reached.seconds))
    counted = (kills, deaths.out_of_memory_kills())
    return _died(outcome, ending, worker, counted, monitor.resident, request.device)


LAST_LINES = 20
"""Of the log, in the record of a trial that did not end well."""


@frozen
class _Worker:
    """A started worker: its process, what it says and is told, and all that it starts."""

    process: subprocess.Popen[bytes]
    pipes: Pipes
    family: Family


class _CannotRunError(MlbenchError):
    """The interpreter of the worker is there, and is none."""


@contextlib.contextmanager
def _started(setting: Setting, variables: dict[str, str], log: Log) -> Iterator[_Worker]:
    """A worker that prints to the log. Leaves nothing of it."""
    mark, segments = new_mark(), Segments()
    told, told_by = os.pipe()
    try:
        process = subprocess.Popen(
            [setting.python, "-c", WORKER.format(events=told_by)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=setting.folder,
            env={**variables, MARK: mark},
            start_new_session=True,  # so that a signal reaches whatever the framework itself has started
            pass_fds=(told_by,),
        )
    except OSError as error:
        os.close(told)
        raise _CannotRunError(
            f"{setting.python} cannot be run: {error.strerror or error} (python, in frameworks)"
        ) from None
    finally:
        os.close(told_by)  # the worker's alone, so that the events end when it does
    family = Family(process, mark, segments)
    with contextlib.ExitStack() as stack:
        stack.callback(family.end)
        pipes = Pipes(process, told, log, setting.stop)
        stack.callback(pipes.close)
        stack.callback(family.end, meanwhile=pipes.move)
        yield _Worker(process, pipes, family)


def _gpu(device: str) -> str | None:
    """What CUDA_VISIBLE_DEVICES must be for a device: empty without GPUs; None if one of them is not there."""
    numbers = gpu_numbers(device)
    if not numbers:
        return ""
    visible = gpus.visible()
    return ",".join(visible[number] for number in numbers) if max(numbers) < len(visible) else None


def worker_variables(gpu: str, threads: int) -> dict[str, str]:
    """The environment of a worker: this process's, its threads limited and its GPUs, if any, the only visible ones."""
    mine = {name: str(threads) for name in THREAD_VARIABLES}
    mine["CUDA_VISIBLE_DEVICES"] = gpu
    # Numbers of CUDA devices follow the bus, as NVML's do, so that both speak of the same card.
    return {**os.environ, **mine, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def _follow(
    worker: _Worker, request: Request, monitor: Monitor, limits: Limits, setting: Setting, log: Log
) -> Running[dict[str, Any]]:
    """Hands the request over and follows the events; returns the last one, empty if it was not one of `FINAL`."""
    pipes = worker.pipes
    pipes.tell(json.dumps(to_json(request)))
    meanwhile = request.kind in ("verify", "inspect")
    while (line := (yield from _next_line(pipes, limits, meanwhile))) is not None:
        event = parse(line)
        if event is None or (event["event"] == "done" and ANSWERS[request.kind] not in event):
            pipes.noise(line)
            continue
        if event["event"] == "turn":
            limits.pause()
            monitor.waiting = True
            yield None
            monitor.waiting = False
            limits.resume()
            pipes.tell("go")
            continue
        if event["event"] == "phase":
            monitor.phase = event["name"]
            limits.enter(event["name"])
        setting.on_event(event)
        if event["event"] in FINAL:
            limits.pause()
            return event
    limits.pause()
    return {}


def _next_line(pipes: Pipes, limits: Limits, meanwhile: bool) -> Running[bytes | None]:
    """The next line, or None if there will be none. meanwhile: whether others may go on until it comes; beside a measurement
    nothing does."""
    while meanwhile:
        pipes.move(0.0)
        line = pipes.next_line(0.0)
        if line is not None or pipes.ended or pipes.stopped or limits.left() == 0:
            return line
        yield after(LOOK_S)
    return pipes.next_line(limits.left())


LOOK_S = 0.02
"""How long news of a worker that measures nothing may wait to be heard."""

ANSWERS = {"trial": "measured", "inspect": "info", "verify": "event", "follow": "event"}
"""What the last event of a worker that has done its job holds, by kind of request."""


def _died(
    outcome: Outcome,
    ending: Ending,
    worker: _Worker,
    kills: tuple[int | None, int | None],
    resident: int | None,
    device: str,
) -> Outcome:
    """The outcome of a worker that ended, or was ended, without saying what came of its job."""
    code = worker.process.returncode
    if code is None:  # it waits for a device, and not even SIGKILL ends it
        reason = f"the worker cannot be ended: process {worker.process.pid} hangs in the kernel; see dmesg, and reboot"
        return evolve(outcome, status="crashed", reason=reason, ending=ending)
    name, killed = deaths.signal_name(code), worker.family.killed
    ending = evolve(ending, signal="" if killed else name, exit_status=code if code >= 0 else None)
    said = f"; see {outcome.log}" + (f": {ending.last_lines[-1][:200]}" if ending.last_lines else "")
    how = (
        "closed the pipe of its events" if killed else f"was killed by {name}" if name else f"exited with status {code}"
    )
    out_of = None if killed else deaths.lacked_memory(code, kills, resident, ending.last_lines, device)
    if out_of is None:
        reason = f"the worker {how} during {ending.phase}{said}"
        return evolve(outcome, status="crashed", reason=reason, ending=ending)
    memory = [] if resident is None else [MemoryReading("host_resident", resident)]
    if out_of == "host":
        memory.append(MemoryReading("host_limit", deaths.memory_limit()))
    figures = ", ".join(f"{each.name} {each.bytes / 1e9:.2g} GB" for each in memory) or "nothing was seen"
    where = "the host" if out_of == "host" else device
    reason = f"out of memory on {where} during {ending.phase} ({figures}): the worker {how}; {LESS}{said}"
    return evolve(outcome, status="out-of-memory", reason=reason, ending=evolve(ending, out_of=out_of, memory=memory))
