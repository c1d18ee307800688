"""The drill-down of the report: every arm with its blocks, and every trial with its raw values while there is room."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from attrs import frozen

from mlbench_core.plain_text import clean
from mlbench_core.record import Record
from mlbench_core.report.headline import heading
from mlbench_core.report.tables import Table, number, numbers, rows_of, text, words
from mlbench_core.results import Results
from mlbench_core.results.groups import arm_label, group_of, grouped

RAW_VALUES = 30_000
"""Raw values in the page at most: some 200 kB. Results with more have all of theirs in the JSON file alone (own)."""
TRIALS = 1_500
"""Trials in the drill-down at most: some 300 kB (own)."""


@frozen(kw_only=True)
class ArmDetail:
    """One arm of one group. title: what it is. blocks: a table with a row per block. raw: the values of each block in ms as
    text, empty where there is no room."""

    title: str
    blocks: Table
    raw: tuple[str, ...]


@frozen(kw_only=True)
class Details:
    """The arms that are shown, and a sentence about what is not; empty if everything is."""

    arms: tuple[ArmDetail, ...]
    left_out: str


def details(results: Results) -> Details:
    """The drill-down of these results."""
    arms = grouped(results.ordered, lambda r: (group_of(r.trial), arm_label(r.trial)))
    total = sum(len(record.measured.values) for record in results.records)
    trials = itertools.accumulate(len(records) for records in arms.values())
    shown = [arm for arm, so_far in zip(arms.items(), trials, strict=True) if so_far <= TRIALS]
    found = [
        _detail(place, f"{arm}, {heading(group)}", records, total <= RAW_VALUES)
        for place, ((group, arm), records) in enumerate(shown)
    ]
    missing = []
    if total > RAW_VALUES:
        missing.append(f"the {total:,} raw values are in the JSON file alone")
    if len(arms) > len(shown):
        missing.append(f"the last {len(arms) - len(shown):,} of {len(arms):,} arms are in the JSON file alone")
    sentence = "; ".join(missing)
    return Details(arms=tuple(found), left_out=f"{sentence[:1].upper()}{sentence[1:]}." if sentence else "")


def _detail(place: int, title: str, records: Sequence[Record], with_values: bool) -> ArmDetail:
    rows = []
    for record in records:
        measured = record.measured
        step = 1e3 * record.seconds_per_step() if measured.values else None
        first = measured.first_step_s
        rows.append(
            [
                number(record.trial.block, str(record.trial.block + 1)),
                text(record.status, "" if record.status == "ok" else "bad"),
                number(step, "" if step is None else f"{step:.4g}"),
                number(first, "" if first is None else f"{first:.3g}"),
                number(len(measured.values), str(len(measured.values))),
                number(record.observed.wall_s, f"{record.observed.wall_s:.1f}"),
                text(record.reason),
            ]
        )
    table = Table(
        name=f"blocks{place}",
        caption=f"Blocks of {clean(title)}.",
        headings=(
            *numbers("block"),
            *words("status"),
            *numbers("ms/step", "first step s", "values", "wall s"),
            *words("reason"),
        ),
        rows=rows_of(rows),
    )
    raw = [_values(record) for record in records if record.measured.values] if with_values else []
    return ArmDetail(title=clean(title), blocks=table, raw=tuple(raw))


def _values(record: Record) -> str:
    shown = " ".join(f"{1e3 * value:.4g}" for value in record.measured.values)
    calibration = record.measured.calibration
    steps = 1 if calibration is None else calibration.steps_per_value
    return f"block {record.trial.block + 1}, ms per {steps} step{'s' if steps > 1 else ''}: {shown}"
