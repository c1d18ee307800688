"""`python -m mlbench_core.worker`: reads a job as JSON on stdin, does it, writes events as JSON lines.

The events go to what was standard output when the process started. Everything that a framework prints, on either stream and
from any language, goes to standard error, which the parent sends to a log file.
"""

from __future__ import annotations

import time

STARTED = time.perf_counter()  # before anything else is imported

import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

from mlbench_core.worker.trampoline import Asking, trampoline  # noqa: E402


def main() -> NoReturn:
    """Does the one job and leaves, with status 0 whenever a final event was written."""
    trampoline(_job())
    # A framework's own threads may hang or crash while the interpreter winds down; the result is already with the parent.
    os._exit(0)


def _job() -> Asking[None]:
    """Reads the job, has it done, and says what came of it."""
    events = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def emit(event: str, **facts: object) -> None:
        events.write(json.dumps({"event": event, **facts}) + "\n")
        events.flush()

    def turn() -> None:
        """Waits until the parent says so; leaves if the parent is gone."""
        emit("turn")
        if not sys.stdin.readline():
            os._exit(1)

    text = sys.stdin.readline()
    from mlbench_core.errors import MlbenchError, UnsupportedError

    try:
        yield from _work(json.loads(text), emit, turn)
    except UnsupportedError as error:
        emit("failed", status="unsupported", reason=str(error))
    except MlbenchError as error:
        emit("failed", status="failed", reason=str(error))
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or [""])[0]
        emit("failed", status="failed", reason=f"{type(error).__name__}: {first[:300]}")
    # The log names what this process has imported, so that anybody can see which frameworks were in it.
    print(
        "mlbench modules:",
        json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)),
        file=sys.stderr,
    )
    sys.stdout.flush()
    sys.stderr.flush()


def _work(payload: dict[str, Any], emit: Callable[..., None], turn: Callable[[], None]) -> Asking[None]:
    """Runs a trial, climbs the parity ladder, or says what a framework is; CPUs are set before anything starts threads."""
    ((kind, data),) = payload.items()
    _pin((data["trial"] if kind == "trial" else data)["threads"])
    from mlbench_core.trial import Job, from_json, to_json

    if kind == "trial":
        from mlbench_core.worker.tasks import run

        measured = yield from run(from_json(data, Job), emit, turn, STARTED)
        emit("done", measured=to_json(measured))
    elif kind == "inspect":
        from mlbench_core.trial import Plan
        from mlbench_core.worker.stage import enter

        _, info = enter(data["framework"], from_json(data["plan"], Plan))
        emit("done", info=to_json(info))
    else:
        from mlbench_core.verify.rungs import VerifyJob
        from mlbench_core.worker.parity import verify

        verify(from_json(data, VerifyJob), emit)
        emit("done")


def _pin(threads: int) -> None:
    """Binds the process to as many CPUs as it may have threads: the one limit that every framework obeys."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, set(allowed[:threads]))


if __name__ == "__main__":
    main()
