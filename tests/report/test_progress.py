"""Progress on a terminal of any width, and how long it says that the run still takes."""

import io
import re
import time
from collections.abc import Sequence

import pytest
from attrs import evolve
from made import made
from rich.console import Console

from mlbench_core.record import Record
from mlbench_core.report.progress import TrialProgress
from mlbench_core.report.remaining import Remaining
from mlbench_core.trial import Trial

RECORDS = made(("tensorflow-nightly-gpu", "jax-experimental"), ("bert-tiny",), (32,), blocks=2).records
"""Two frameworks, two tasks, two blocks: eight trials of 5 s each."""
TRIALS = [record.trial for record in RECORDS]


def follow(width: int, ended: Sequence[Record]) -> list[str]:
    """The lines on a terminal once some trials have ended and another is training."""
    file = io.StringIO()
    console = Console(width=width, height=40, file=file, force_terminal=True, color_system=None)
    with TrialProgress(console, TRIALS) as progress:
        for record in ended:
            progress.on_event(record.trial, {"event": "start"})
            progress.on_event(record.trial, {"event": "phase", "name": "read_back"})
            progress.on_event(record.trial, {"event": "record", "record": record})
        progress.on_event(TRIALS[-1], {"event": "start"})
        progress.on_event(TRIALS[-1], {"event": "progress", "done": 1200, "total": 4500})
        end = time.monotonic() + 10
        while "step 1,200" not in _plain(file) and time.monotonic() < end:
            time.sleep(0.02)  # it is printed anew ten times a second
        lines = _plain(file).splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith(TRIALS[-1].label[:30])][:1]
    return lines[first : first + 3]


def _plain(file: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "\n")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bar_count_and_time_left_are_always_there(width: int) -> None:
    *words, bar = follow(width, RECORDS[:2])
    assert "".join(words).startswith(TRIALS[-1].label)
    assert re.fullmatch(r"  training, step 1,200 of 4,500 ━+╸?━*", words[-1].rstrip())
    done = words[-1].count("━") + words[-1].count("╸")
    assert done >= 6  # a quarter of what is left of 60 columns
    assert max(map(len, [*words, bar])) <= width
    assert "…" not in "".join([*words, bar])
    # Two of eight trials have taken 5 s each: six are left, the first of which may run for a while here.
    assert re.fullmatch(r"━+╸? +2/8 \d:\d\d:\d\d left 0:00:(30|2\d)", bar.rstrip()), bar


def test_before_a_trial_has_ended_the_time_left_is_not_known() -> None:
    assert re.fullmatch(r" +0/8 \d:\d\d:\d\d left -:--:--", follow(80, [])[-1].rstrip())


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def trial(framework: str = "a", block: int = 0, **more: object) -> Trial:
    return evolve(TRIALS[0], framework=framework, block=block, **more)  # type: ignore[arg-type]


def test_trials_are_expected_to_take_what_those_like_them_took() -> None:
    first = [trial("a", num_epochs=5), trial("b", num_epochs=5), trial("a", task="infer")]
    then = [trial("a", 1, num_epochs=0), trial("b", 1, num_epochs=0), trial("a", 2, num_epochs=0)]
    remaining = Remaining([*first, *then], Clock())
    assert remaining.left() is None
    remaining.start(first[0])
    remaining.end(first[0], 10.0)
    assert remaining.left() == 50  # for want of anything closer, all take 10 s
    remaining.start(first[2])
    remaining.end(first[2], 2.0)
    # b is like nothing yet, so as the mean of all; a's other blocks are like its first until one of them has ended.
    assert remaining.left() == 6 + 10 + 6 + 10
    remaining.start(then[0])
    remaining.end(then[0], 1.0)
    assert remaining.left() == pytest.approx(2 * 13 / 3 + 1)


def test_the_time_goes_by_while_trials_run_side_by_side() -> None:
    clock = Clock()
    arms = [trial("a"), trial("b"), trial("a", 1), trial("b", 1)]
    remaining = Remaining(arms, clock)
    for arm in arms[:2]:
        remaining.start(arm)
    clock.now += 30  # 10 s of a and 20 s of b, in turns
    remaining.end(arms[0], 10.0)
    assert remaining.left() == 10 + 10  # nothing is known of b: what runs is overdue, what is to come takes 10 s each
    remaining.end(arms[1], 20.0)
    assert remaining.left() == 30
    clock.now += 5  # between trials no time is taken to have gone by
    assert remaining.left() == 30
    for arm in arms[2:]:
        remaining.start(arm)
    clock.now += 12
    assert remaining.left() == 18
    clock.now += 100
    assert remaining.left() == 0
    remaining.end(arms[2], 50.0)
    remaining.end(arms[3], 62.0)
    assert remaining.left() == 0


def test_several_places_share_the_time_and_a_group_stays_in_one() -> None:
    clock = Clock()
    groups = [trial(model, block) for block in range(2) for model in "abc"]
    groups = [evolve(each, model=each.framework, framework="f") for each in groups]
    earlier = {evolve(each, block=0): 10.0 for each in groups}
    assert Remaining(groups, clock, earlier).left() == 60
    remaining = Remaining(groups, clock, earlier, {"": 2})
    assert remaining.left() == 30
    for each in groups[:2]:
        remaining.start(each)
    clock.now += 4
    assert remaining.left() == (6 + 6 + 40) / 2
    clock.now += 6
    assert remaining.left() == 20
    for each in groups[:2]:
        remaining.end(each, 10.0)
    assert remaining.left() == 20
    # The third group has two blocks left, which no number of places runs at the same time.
    assert Remaining(groups, clock, earlier, {"": 6}).left() == 20
    on_two_kinds = [evolve(each, node="far" if each.model == "c" else "near") for each in groups]
    earlier = {evolve(each, block=0): 10.0 if each.node == "near" else 30.0 for each in on_two_kinds}
    assert Remaining(on_two_kinds, clock, earlier, {"near": 2, "far": 1}).left() == 60


def test_what_was_not_run_teaches_nothing_and_more_may_come() -> None:
    remaining = Remaining([trial("a"), trial("b")], Clock())
    remaining.start(trial("a"))
    remaining.end(trial("a"), 0.0)
    assert remaining.left() is None
    remaining.start(trial("b"))
    remaining.end(trial("b"), 4.0)
    assert remaining.left() == 0
    remaining.extend([trial("b", 1), trial("c")])
    assert remaining.left() == 8
