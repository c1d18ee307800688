"""What 5,000 trials of 10 ms take of the driver: its own processor time each, and no memory that grows."""

import gc
import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from mlbench_core import Suite
from mlbench_core.executor import Place
from mlbench_core.runner.journal import Journal
from mlbench_core.runner.lanes import Block, Lanes, Records
from mlbench_core.runner.matrix import side_by_side
from mlbench_core.runner.opening import header_of

TRIALS, SETTLED = 5000, 1000
MOST_MS, MOST_BYTES = 5.0, 10 * 2**20
"""Of the driver's processor time per trial, and of its resident memory from the trial SETTLED on: the issue's own."""
WORKER = """#!{python} -IS
import sys
code = sys.argv[2]
if "worker" not in code:  # asked what is installed
    import os
    os.execv({python!r}, [{python!r}, "-c", code])
import time
events = open(int(code.rpartition("(")[2].rstrip(")")), "w")
request = sys.stdin.readline()
for line in {lines!r}.splitlines():
    print(line, file=events, flush=True)
    time.sleep(0.001)
"""
"""A worker of the fake that starts in 10 ms, as Python alone does: it says what a worker says, and takes 10 ms for that."""
INFO = (
    '{"name": "fake", "version": "1", "devices": ["cpu"], "precisions": ["fp32"], "executions": ["eager"], '
    '"default_execution": "eager", "versions": {}, "data_parallel": []}'
)
LINES = "\n".join(
    [
        '{"event": "phase", "name": "start"}',
        f'{{"event": "info", "info": {INFO}}}',
        *(
            f'{{"event": "phase", "name": "{name}"}}'
            for name in ("setup", "first_step", "warmup", "measure", "latency")
        ),
        '{"event": "phase", "name": "teardown"}',
        '{"event": "done", "measured": {"framework_version": "1", "values": [0.001, 0.001, 0.001], "turns": [3]}}',
    ]
)


def test_the_driver_takes_less_than_5_ms_per_trial_and_no_more_memory(three_nodes: Any, tmp_path: Path) -> None:
    worker = tmp_path / "worker"
    worker.write_text(WORKER.format(python=sys.executable, lines=LINES))
    worker.chmod(0o755)
    suite = Suite(
        frameworks=[{"name": "fake", "python": str(worker), "label": "quick"}],
        models=["mlp"],
        dataset="synthetic:8/2@64",
        batch_sizes=[1, 2, 4, 8, 16, 32, 3, 5, 7],
        blocks=TRIALS // 10,
        output=str(tmp_path / "out"),
        executor="ray",
        executor_options={"address": three_nodes.address},
    )
    runner, data = suite._runner, suite.prepare()
    facts = suite.facts
    (tmp_path / "out").mkdir()
    journal = Journal(tmp_path / "out" / "journal", header_of(suite.config, suite.trials, (), Path(), facts, False))

    def start(block: Block, place: Place) -> Records:
        return runner.run_block(block, place, data, tmp_path / "out", lambda _trial, _event: None)

    me, begun, wall = psutil.Process(os.getpid()), time.process_time(), time.monotonic()
    count = settled = 0
    for record in Lanes(runner.executor.places, runner.executor.look).run(side_by_side(suite.trials), start):
        assert record.status == "ok", record.reason
        journal.add(record, runner.machines[record.machine])
        count += 1
        if count == SETTLED:
            gc.collect()
            settled = me.memory_info().rss
    gc.collect()
    each_ms = (time.process_time() - begun) / count * 1e3
    grown = me.memory_info().rss - settled
    wall = time.monotonic() - wall
    journal.close()
    print(
        f"\n{count} trials in {wall:.0f} s on three nodes of {os.cpu_count()} CPUs: {each_ms:.2f} ms of the driver's processor "
        f"time each; {grown / 2**20:+.1f} MiB from trial {SETTLED} to the last"
    )
    assert count == TRIALS
    assert each_ms < MOST_MS
    assert grown < MOST_BYTES
