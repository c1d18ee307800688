"""How a process of a hand-written loop is followed while it and a worker take turns."""

from __future__ import annotations

import json
import subprocess

from mlbench_core.executor import Running


def values_by_turn(process: subprocess.Popen[str]) -> Running[list[list[float]]]:
    """The values by turn, in seconds, of a loop that measures by `handwritten.common.measure`; yields when it has had its turn.

    Raises RuntimeError if it ends without them.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        if line == "turn\n":
            yield
            process.stdin.write("go\n")
            process.stdin.flush()
        elif line.startswith('{"turns"'):
            turns: list[list[float]] = json.loads(line)["turns"]
            return turns
    raise RuntimeError("the loop by hand printed no values: see its log")
