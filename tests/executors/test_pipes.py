"""A worker's pipes: whatever it does with its ends, the parent neither waits for ever nor fills its memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.executors import pipes
from mlbench_core.executors.log import Log
from mlbench_core.executors.pipes import Lines, Pipes


@given(st.lists(st.binary(max_size=30).map(lambda part: part.replace(b"x", b"\n")), max_size=20))
def test_lines_are_the_same_however_they_are_cut(parts: list[bytes]) -> None:
    lines = Lines()
    found = [line for part in parts for line in lines.feed(part)]
    assert [*found, bytes(lines.rest)] == b"".join(parts).split(b"\n")


def test_of_a_line_without_end_the_beginning_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "LONGEST_LINE", 1000)
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"y" * 999) == []
        assert len(lines.rest) <= 1000
    assert lines.feed(b"y\nnext\n") == [b"y" * 200, b"next"]


@contextmanager
def worker(code: str, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], Pipes]]:
    """A process that runs the code, in which `events` is the descriptor of its events."""
    told, told_by = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os, sys, time\nevents = {told_by}\n{code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        pass_fds=(told_by,),
    )
    os.close(told_by)
    with Log(log) as kept:
        ends = Pipes(process, told, kept)
        try:
            yield process, ends
        finally:
            process.kill()
            process.wait()
            ends.close()


def test_what_is_told_and_said(tmp_path: Path) -> None:
    code = "for line in sys.stdin: print('read', line, flush=True); os.write(events, line.upper().encode())"
    with worker(code, tmp_path / "log") as (_, ends):
        ends.tell("one")
        assert ends.next_line(20.0) == b"ONE"
        ends.tell("two")
        assert ends.next_line(20.0) == b"TWO"
        assert ends.next_line(0.05) is None
        assert not ends.ended
        ends.hang_up()
        assert ends.next_line(20.0) is None
        assert ends.ended
    assert (tmp_path / "log").read_text().split() == ["read", "one", "read", "two"]


def test_a_worker_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    with worker("time.sleep(60)", tmp_path / "log") as (_, ends):
        start = time.monotonic()
        ends.tell("x" * 2**22)  # far more than a pipe takes
        assert ends.next_line(0.2) is None
        assert time.monotonic() - start < 20


def test_much_is_told_while_much_is_said(tmp_path: Path) -> None:
    """Each waits for the other's pipe to have room, if it can wait."""
    code = f"print('p' * {2**20}); os.write(events, b'e' * {2**19} + b'\\n'); text = sys.stdin.readline()\n"
    with worker(code + "os.write(events, b'%d\\n' % len(text))", tmp_path / "log") as (_, ends):
        ends.tell("x" * 2**21)
        assert ends.next_line(60.0) == b"e" * 2**19
        assert ends.next_line(60.0) == b"%d" % (2**21 + 1)


def test_the_last_word_is_heard_whenever_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a look at the pipes in which there was nothing, and the question whether it lives."""
    code = "print('busy', flush=True); sys.stdin.readline(); os.write(events, b'last\\n'); os._exit(0)"
    with worker(code, tmp_path / "log") as (process, ends):
        look = ends._selector.select

        def look_and_dawdle(seconds: float) -> object:
            found = look(seconds)
            if [key.fd for key, _ in found] == [ends._output]:
                ends.tell("say it")
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            return found

        monkeypatch.setattr(ends._selector, "select", look_and_dawdle)
        assert ends.next_line(30.0) == b"last"
        assert ends.next_line(30.0) is None


@pytest.mark.parametrize("told", [True, False], ids=["by the system", "by looking"])
def test_a_child_that_keeps_the_pipes_open_does_not_hide_a_death(
    told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not told:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    code = "os.write(events, b'last\\n')\nif os.fork(): os._exit(3)\nos.write(events, b'%d\\n' % os.getpid()); time.sleep(60)"
    with worker(code, tmp_path / "log") as (process, ends):
        lines = []
        while (line := ends.next_line(30.0)) is not None:
            lines.append(line)
        assert ends.ended
        assert process.returncode == 3
        assert lines[0] == b"last"
        while len(lines) < 2:  # the child may have come later than the end
            ends.move(0.1)
            lines += ends._arrived
        os.kill(int(lines[1]), 9)


def test_a_line_that_is_cut_off_is_in_the_log(tmp_path: Path) -> None:
    with worker("os.write(events, b'whole\\nha'); os._exit(0)", tmp_path / "log") as (_, ends):
        assert ends.next_line(20.0) == b"whole"
        assert ends.next_line(20.0) is None
    assert (tmp_path / "log").read_text() == "not an event: ha (cut off)\n"
