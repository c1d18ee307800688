"""`python -m mlbench_core.worker DESCRIPTOR`: reads a request as JSON on stdin, does it, writes events as JSON lines.

The events go to the descriptor, a pipe that the parent made for them alone. Whatever else is printed, on either stream, from
any language and from before this code runs, goes to the parent's log file.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()  # before anything else is imported

import json  # noqa: E402
import os  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

from mlbench_core.worker.trampoline import Asking, trampoline  # noqa: E402


def main(descriptor: int) -> NoReturn:
    """Does the one request and leaves, with status 0 whenever a final event was written. descriptor: where events go."""
    trampoline(_job(descriptor))
    # A framework's own threads may hang or crash while the interpreter winds down; the result is already with the parent.
    os._exit(0)


def _job(descriptor: int) -> Asking[None]:
    """Reads the request, has it done, and says what came of it."""
    try:
        os.set_inheritable(descriptor, False)  # what a framework starts has no events to tell
    except OSError:
        sys.exit("the interpreter is a wrapper that closes the descriptor of the events: give the Python that it runs")
    events = os.fdopen(descriptor, "w", buffering=1)
    phase, device = "start", ""

    def emit(event: str, **facts: object) -> None:
        nonlocal phase
        if event == "phase":
            phase = str(facts["name"])
        events.write(json.dumps({"event": event, **facts}) + "\n")
        events.flush()

    def turn() -> None:
        """Waits until the parent says so; leaves if the parent is gone."""
        emit("turn")
        if not sys.stdin.readline():
            os._exit(1)

    text = sys.stdin.readline()
    threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    from mlbench_core.errors import MlbenchError
    from mlbench_core.worker.failure import failure_of

    try:
        request = json.loads(text)
        device = request["device"]
        yield from _work(request, emit, turn)
    except Exception as error:
        if not isinstance(error, MlbenchError) or error.__cause__ is not None:  # a plugin's own is behind it
            traceback.print_exc()
        emit("failed", **failure_of(error, device, phase))
    # The log names what this process has imported, so that anybody can see which frameworks were in it.
    print(
        "mlbench modules:",
        json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)),
        file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()


def _end_with_parent(descriptor: int) -> None:
    """Ends this process, and what it has started, once nobody is there to read its events: the parent was killed.

    A thread that waits in the kernel takes no time from whatever is being measured.
    """
    poll = select.poll()
    poll.register(descriptor, 0)  # an error is always told of: that the pipe's other end was closed
    poll.poll()
    if os.getpgid(0) == os.getpid():  # the group is this worker's own
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _work(request: dict[str, Any], emit: Callable[..., None], turn: Callable[[], None]) -> Asking[None]:
    """Does an `executor.Request`; CPUs are set before anything starts threads."""
    _check_version(request.get("core", ""))
    _pin(request["threads"])
    from mlbench_core.serialize import from_json, to_json
    from mlbench_core.trial import Inspection, Job

    if request["kind"] == "trial":
        from mlbench_core.worker.tasks import run

        measured = yield from run(from_json(request["job"], Job), emit, turn, STARTED)
        emit("done", measured=to_json(measured))
    elif request["kind"] == "inspect":
        from mlbench_core.worker.entering import inspect

        info, printed = inspect(from_json(request["job"], Inspection))
        emit("done", info=to_json(info), printed=printed)
    elif request["kind"] == "follow":
        from mlbench_core.trial import Following
        from mlbench_core.worker.following import follow

        follow(from_json(request["job"], Following))
        emit("done")
    else:
        from mlbench_core.verify.rungs import VerifyJob
        from mlbench_core.worker.parity import verify

        verify(from_json(request["job"], VerifyJob), emit)
        emit("done")


def _check_version(asking: str) -> None:
    """Raises PluginError if the parent is another mlbench: what either sends, the other may take for something else."""
    from mlbench_core.errors import PluginError
    from mlbench_core.version import VERSION

    if asking != VERSION:
        raise PluginError(
            f"mlbench-core {asking or 'of an unknown version'} asked for this, and the worker's Python, {sys.executable}, has "
            f"mlbench-core {VERSION}: install the same version in both"
        )


def _pin(threads: int) -> None:
    """Binds the process to as many CPUs as it may have threads: the one limit that every framework obeys."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(allowed[:threads]))


if __name__ == "__main__":
    main(int(sys.argv[1]))
