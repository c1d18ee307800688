"""What the parent sees of a worker from outside."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mlbench_core.executors.monitor import _resident


@pytest.mark.parametrize("proc", [Path("/proc"), Path("/no-such-folder")], ids=["kernel", "psutil"])
def test_resident_bytes_follow_the_process_to_its_end(proc: Path) -> None:
    code = "import sys; block = bytearray(b'x') * 50_000_000; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with _resident(process.pid, proc) as resident:
            # Between the two readings it may just begin to wait for its input, which takes a page or two.
            assert resident() == pytest.approx(psutil.Process(process.pid).memory_info().rss, abs=100_000)
            assert resident() > 50_000_000
            process.kill()
            process.wait()
            with pytest.raises((psutil.NoSuchProcess, ProcessLookupError)):
                resident()


def test_a_process_that_is_gone_already_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProcessLookupError), _resident(2**22 + 1):
        pass
    with pytest.raises(psutil.NoSuchProcess), _resident(2**22 + 1, tmp_path / "none"):
        pass
