"""What goes wrong: each function is called with the number of the training step, from 1, and may return another loss."""

import ctypes
import mmap
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NoReturn

Fault = Callable[[int], float | None]
MARK = "mlbench-faults"
"""What the names of the files begin with that a fault leaves."""


def raises(step: int) -> None:
    raise RuntimeError("the fault was asked for")


def exits(step: int) -> NoReturn:
    """Leaves a daemon that holds the pipes open."""
    _daemon()
    sys.exit(7)


def segfaults(step: int) -> None:
    print("about to read address 0", flush=True)
    ctypes.string_at(0)


def hangs(step: int) -> None:
    time.sleep(3600)


def ignores_sigterm(step: int) -> None:
    """So does what it has started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    time.sleep(3600)


def starts_a_daemon(step: int) -> None:
    if step == 1:
        _daemon()


def _daemon() -> None:
    """A process that has left group, session and parent and ignores SIGTERM, with a file in /tmp and one in shared memory; it
    keeps all pipes open."""
    ready, tell = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            folder = tempfile.mkdtemp(prefix=MARK)
            segment = f"/dev/shm/{MARK}-{random.getrandbits(64):x}"
            with open(segment, "w+b") as file:
                file.truncate(4096)
                kept = mmap.mmap(file.fileno(), 4096)
            print(f"left {os.getpid()} {folder} {segment}", flush=True)
            os.write(tell, b".")
            time.sleep(3600)
            kept.close()
        os._exit(0)
    os.wait()
    os.read(ready, 1)


def allocates(step: int) -> None:
    """Until there is no more; the limit is this process's own, and far below what the machine has."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**28, now + 2**28))
    kept = []
    while True:
        kept.append(bytearray(2**24))


def is_killed(step: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def floods(step: int) -> None:
    """Its streams with 32 MiB, and the events' pipe with lines of garbage, one of them 8 MiB long."""
    if step > 1:
        return
    for _ in range(512):
        os.write(1, b"x" * 2**15 + b"\n" + b"\xff\0\x1b" * 10_000 + b"\n")
    everything = random.Random(0).randbytes(2**20).replace(b'{"event"', b"") + b"\n"
    for pipe in _pipes():
        for garbage in (
            everything,
            b"[" * 2**23 + b"\n",
            b'{"event": "done"}\n{"event": "info", "info": {"name": 1}}\n',
        ):
            left = memoryview(garbage)
            while left:
                left = left[os.write(pipe, left) :]


def returns_nan(step: int) -> float:
    return float("nan")


def sends_half_a_record(step: int) -> None:
    for pipe in _pipes():
        os.write(pipe, b'{"event": "done", "measured": {"framework_version": "1.0", "val')
    os._exit(0)


def _pipes() -> list[int]:
    """The descriptors of pipes that this process writes to, but for its streams: the events'."""
    found = []
    for descriptor in range(3, 64):
        try:
            pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        except OSError:
            continue
        if pipe and os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
            found.append(descriptor)
    return found


def stops_reading(step: int) -> None:
    class Silent:
        def readline(self) -> str:
            time.sleep(3600)
            return ""

    sys.stdin = Silent()  # type: ignore[assignment]


def never_settles(step: int) -> None:
    """Each step takes longer than the one before."""
    time.sleep(1e-3 * 1.02**step)


FAULTS: tuple[Fault, ...] = (
    raises, exits, segfaults, hangs, ignores_sigterm, starts_a_daemon, allocates, is_killed, floods, returns_nan,
    sends_half_a_record, stops_reading, never_settles,
)  # fmt: skip
