"""Comparisons of many cells: time grows with their number and no faster, memory is not what the files hold, and a terminal gets
what a person can read."""

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve
from made import made

from mlbench_core.compare.gate import Gate, outcome
from mlbench_core.compare.judge import DEFAULT, Options, RunComparison, compare_runs, compare_taken
from mlbench_core.compare.sides import load_side
from mlbench_core.report.compared.lines import said
from mlbench_core.report.compared.terminal import MOST_ROWS, most_telling
from mlbench_core.results import Results
from mlbench_core.results.storage import save

FEW, MANY = 150, 1200
"""Cells of a run."""


def run(cells: int, queries: int = 20) -> Results:
    """Of four blocks; half of the cells are inference."""
    models = [f"model{number}" for number in range(cells // 2)]
    return made(["numpy"], models, [32], 4, queries=queries, values=5, noise=0.0005)


def slower(results: Results, by: float, models: int) -> Results:
    """The first so many models take longer."""
    names = {f"model{number}" for number in range(models)}
    records = []
    for record in results.records:
        m = record.measured
        if record.trial.model in names:
            times = {name: [by * value for value in getattr(m, name)] for name in ("values", "latencies")}
            record = evolve(record, measured=evolve(m, **times))
        records.append(record)
    return evolve(results, records=tuple(records))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    save(run(FEW), folder / "few.json")
    many = run(MANY)
    save(many, folder / "many.json")
    save(slower(many, 1.3, 170), folder / "slow.json")
    return folder


def judged(base: Path, new: Path) -> RunComparison:
    return compare_taken(load_side(base, DEFAULT), load_side(new, DEFAULT), Options())


def seconds(action: Callable[[], object]) -> float:
    """Of this process alone, the shorter of two tries."""

    def once() -> float:
        start = time.process_time()
        action()
        return time.process_time() - start

    return min(once(), once())


def test_time_grows_with_the_number_of_cells_and_no_faster(folder: Path) -> None:
    few, many = (folder / name for name in ("few.json", "many.json"))
    judged(few, few)  # what is imported and compiled at first is no part of it
    ratio = seconds(lambda: judged(many, many)) / seconds(lambda: judged(few, few))
    assert ratio < 2 * MANY / FEW  # one that looks at every pair of cells takes 8 times as long again


def test_raw_values_are_not_held(tmp_path: Path) -> None:
    path = save(run(FEW, queries=700), tmp_path / "some.json")

    def peak(action: Callable[[], object]) -> int:
        tracemalloc.start()
        action()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    judged(path, path)
    whole, taken = peak(lambda: Results.load(path)), peak(lambda: load_side(path, DEFAULT))
    assert taken < whole / 4
    assert taken / FEW < 2**30 / 20_000 / 4  # 10,000 cells against 10,000 take no more than a quarter of a GiB


def test_what_is_taken_of_a_file_judges_as_what_is_in_memory_does(folder: Path) -> None:
    few = run(FEW)
    assert judged(folder / "few.json", folder / "few.json") == compare_runs([few], [few], Options())


def test_hundreds_of_slower_cells_are_status_1(folder: Path) -> None:
    code = "import sys; from mlbench_core.cli import main; sys.argv[0] = 'mlbench'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "many.json", "slow.json", "--fail-on", "slower"],
        capture_output=True, text=True, cwd=folder, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    met = [line for line in done.stdout.splitlines() if line.startswith("slower: ")]
    assert len(met) >= 300  # of 170 models, training and inference
    assert done.stdout.rstrip().endswith("status 1")
    assert "more rows, none that says more than these: an --export has all" in done.stdout


def test_a_terminal_gets_the_rows_that_say_most(folder: Path) -> None:
    found = judged(folder / "many.json", folder / "slow.json")
    words = said(found, outcome(found, Gate()), "many")
    shown, more = most_telling(words)
    assert len(words.rows) == MANY + MANY // 2  # a first step for each training
    assert len(shown.rows) == MOST_ROWS
    assert more.startswith(f"{len(words.rows) - MOST_ROWS:,} more rows")
    assert shown.verdicts.count("slower") == words.verdicts.count("slower") >= 300
    assert [row for row in words.rows if row in set(shown.rows)] == list(shown.rows)  # in their order
    few = judged(folder / "few.json", folder / "few.json")
    words = said(few, outcome(few, Gate()), "few")
    assert most_telling(words) == (words, "")
