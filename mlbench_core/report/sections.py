"""Results -> the tables of the report below its first screen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mlbench_core.entry import shown_framework
from mlbench_core.record import Record
from mlbench_core.report.headline import heading
from mlbench_core.report.tables import ABSENT, Cell, Heading, Table, number, numbers, rows_of, text, words
from mlbench_core.results import Results
from mlbench_core.results.arms import ArmSummary
from mlbench_core.results.compared import METRIC
from mlbench_core.results.comparisons import Comparison
from mlbench_core.results.groups import grouped
from mlbench_core.results.row import BY_NAME

WHAT = ("model", "device", "batch_size", "precision", "framework", "execution")
FIGURES = (
    "samples_per_second", "largest_batch", "first_step_s", "peak_memory_mb", "inference_latency_p50_ms",
    "inference_latency_p99_ms", "final_val_accuracy", "gpu_utilization_pct",
)  # fmt: skip
START = ("first_step_s", "time_to_100_steps_s", "time_to_1000_steps_s", "time_to_10000_steps_s")
LIMITS = (
    "bottleneck", "data_wait_pct", "placement_pct", "dispatch_pct", "device_pct", "mfu_pct", "mfu_data_sheet_pct",
)  # fmt: skip
VERDICT_KINDS = {
    "faster": "good",
    "slower": "bad",
    "equivalent": "same",
    "inconclusive": "warn",
    "not comparable": "bad",
}
TEXTS = {*WHAT, "bottleneck"} - {"batch_size"}
"""Columns of text."""
COMPARISONS = 1_500
"""Comparisons in the page at most: some 450 kB (own)."""
PARITY_KINDS = {"verified": "good", "unverified": "warn"}


def comparisons_table(results: Results) -> Table:
    """Every pair by every metric; of very many, the primary metrics' first."""
    confidence = f"{100 * results.settings.compare.confidence:g} % interval"
    every = results.comparisons
    shown = every if len(every) <= COMPARISONS else sorted(every, key=lambda c: not c.primary)[:COMPARISONS]
    missing = f" The first {len(shown):,} of {len(every):,}; the JSON file has all." if len(shown) < len(every) else ""
    return Table(
        name="comparisons",
        caption=f"Every pair of arms by every metric. Above 1 the first is better.{missing}",
        headings=(
            *words("what", "metric", "first", "second"),
            *numbers("ratio", confidence, "p (Holm)", "blocks"),
            *words("verdict on the first"),
        ),
        rows=rows_of(_comparison(c) for c in shown),
        filtered=True,
        sortable=True,
    )


def _comparison(c: Comparison) -> list[Cell]:
    verdict = METRIC[c.metric].word(c.verdict) + (f": {c.reason}" if c.reason else "")
    if c.verdict == "inconclusive":
        verdict += f": {c.blocks_needed or 'more'} blocks needed"
    ratio = c.ratio
    known = "" if ratio is None or ratio.low is None else f"{ratio.low:.3f} to {ratio.high:.3f}"
    half = None if ratio is None else ratio.half_width
    return [
        text(heading(c.group)),
        text(c.metric),
        text(c.a),
        text(c.b),
        number(None if ratio is None else ratio.value, "" if ratio is None else f"{ratio.value:.3f}"),
        number(half, known),
        number(c.adjusted_p, "" if c.adjusted_p is None else f"{c.adjusted_p:.2g}"),
        number(None if ratio is None else ratio.blocks, "" if ratio is None else str(ratio.blocks)),
        text(verdict, VERDICT_KINDS.get(c.verdict, "")),
    ]


def arms_table(arms: Sequence[ArmSummary]) -> Table:
    """One row per cell, medians over its blocks."""
    shown = [name for name in FIGURES if any(arm.columns[name] is not None for arm in arms)]
    headings = [
        *_headings(WHAT),
        *_headings(shown),
        Heading(label="blocks", number=True),
        *words("parity", "status", "flags"),
    ]
    return Table(
        name="rows",
        caption="Every cell; figures are medians over its blocks.",
        headings=tuple(headings),
        rows=rows_of(_arm(arm, shown) for arm in arms),
        filtered=True,
        sortable=True,
    )


def _arm(arm: ArmSummary, shown: Sequence[str]) -> list[Cell]:
    parity = arm.rows[0].parity
    wrong = [row for row in arm.rows if row.status != "ok"]
    status = text(wrong[0].status, "bad") if wrong else text("ok", "good")
    levels = {flag.level for row in arm.rows for flag in row.flags}
    names = dict.fromkeys(flag.name for row in arm.rows for flag in row.flags if flag.level != "note")
    kind = "bad" if levels & {"unstable", "rejected"} else "warn"
    return [
        *(_value(arm.shown, name) for name in (*WHAT, *shown)),
        number(arm.blocks, str(arm.blocks)),
        text(parity.verdict, PARITY_KINDS.get(parity.verdict, "bad")),
        status,
        text(", ".join(names), kind),
    ]


def start_table(arms: Sequence[ArmSummary]) -> Table:
    """First step and time to N steps, compilation included."""
    return _figures("start", "The first step, and the time to N training steps with it.", arms, START)


def limits_table(arms: Sequence[ArmSummary]) -> Table:
    """What an epoch of real training spends its time on, and model FLOPs utilisation."""
    return _figures(
        "limits",
        "What an epoch of real training spends its time on, and how much of the peak it reaches.",
        arms,
        LIMITS,
    )


def _figures(name: str, caption: str, arms: Sequence[ArmSummary], columns: Sequence[str]) -> Table:
    shown = [column for column in columns if any(arm.columns[column] is not None for arm in arms)]
    return Table(
        name=name,
        caption=caption,
        headings=(*_headings(WHAT), *_headings(shown)),
        rows=rows_of([_value(arm.shown, column) for column in (*WHAT, *shown)] for arm in arms) if shown else (),
        sortable=True,
    )


def _headings(names: Sequence[str]) -> list[Heading]:
    columns = [BY_NAME[name] for name in names]
    return [Heading(label=c.label, hint=c.meaning, number=c.name not in TEXTS) for c in columns]


def _value(columns: Mapping[str, Any], name: str) -> Cell:
    value = columns[name]
    if isinstance(value, (int, float)):
        return number(value, BY_NAME[name].show(value))
    if value is None:
        return Cell(text="n/a", kind="muted") if name in TEXTS else ABSENT
    return text(value)


def parity_table(results: Results) -> Table:
    """The parity ladder: the largest relative error of each rung."""
    names = {rung.name: rung.number for result in results.parity for rung in result.rungs}
    rungs = sorted(names, key=lambda name: names[name])
    rows = []
    for result in results.parity:
        by_name = {rung.name: rung for rung in result.rungs}
        cells = [text(shown_framework(result)), text(result.framework_version), text(result.model), text(result.where)]
        for name in rungs:
            rung = by_name.get(name)
            if rung is None or rung.absent:
                cells.append(ABSENT)
            else:
                cells.append(
                    number(rung.error, f"{rung.error:.0e}" if rung.error else "0", "" if rung.passed else "bad")
                )
        verdict = result.verdict + (f": {result.why}" if result.why else "")
        rows.append([*cells, text(verdict, PARITY_KINDS.get(result.verdict, "bad"))])
    return Table(
        name="parity",
        caption="The largest relative error of each rung of the ladder against the NumPy reference.",
        headings=(*words("framework", "version", "model", "device"), *numbers(*rungs), *words("verdict")),
        rows=rows_of(rows),
        sortable=True,
    )


DIFFERS, SAME = "differs", "same"
"""What is said of a knob that several frameworks have."""


def knobs_table(results: Results) -> Table:
    """Every knob as read back: first those that differ between frameworks, last those that one framework alone has."""
    frameworks = list(dict.fromkeys(shown_framework(record.trial) for record in results.ordered))
    found: dict[str, dict[str, set[str]]] = {}
    for record in results.records:
        for name, value in record.measured.knobs.items():
            found.setdefault(name, {}).setdefault(shown_framework(record.trial), set()).add(value or "none")
    seen = {name: {of: " / ".join(sorted(values)) for of, values in by.items()} for name, by in found.items()}
    said = {name: _between(by.values(), len(frameworks)) for name, by in seen.items()}
    rows = [
        [
            text(name),
            *(text(seen[name][of]) if of in seen[name] else Cell(text="n/a", kind="muted") for of in frameworks),
            text(said[name], "warn" if said[name] == DIFFERS else "muted"),
        ]
        for name in sorted(seen, key=lambda name: (said[name] != DIFFERS, said[name] != SAME, name))
    ]
    return Table(
        name="knobs",
        caption="Every setting as read back from the framework; those that differ come first.",
        headings=words("setting", *frameworks, "between frameworks"),
        rows=rows_of(rows),
    )


def _between(values: Collection[str], frameworks: int) -> str:
    """What a knob's values say of the frameworks that have it, of so many."""
    if len(values) == 1 < frameworks:
        return "one has it"
    return SAME if len(set(values)) == 1 else DIFFERS


def machine_tables(results: Results) -> list[Table]:
    """The facts about each machine, and the versions of what ran on it."""
    tables = []
    for place, facts in enumerate(results.machines.values()):
        rows = [[text(name), text(_flat(value))] for name, value in facts.items() if value not in (None, [], {})]
        label = "The machine" if len(results.machines) == 1 else f"Machine {place + 1}"
        tables.append(
            Table(
                name=f"machine{place}",
                caption=f"{label}, looked at before the run.",
                headings=words("fact", "value"),
                rows=rows_of(rows),
            )
        )
    versions = {
        (shown_framework(record.trial), name): version
        for record in results.records
        for name, version in _versions(record).items()
        if version
    }
    rows = [
        [text(framework), text(name or framework), text(version)] for (framework, name), version in versions.items()
    ]
    return [
        *tables,
        Table(
            name="versions", caption="Versions.", headings=words("framework", "package", "version"), rows=rows_of(rows)
        ),
    ]


def _versions(record: Record) -> dict[str, str]:
    """Of what a trial ran with, by name; the framework's own is without one."""
    measured = record.measured
    python = {"Python": measured.python, "interpreter": measured.interpreter} if record.trial.variant else {}
    return {"": measured.framework_version, **measured.versions, **python}


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    if isinstance(value, list):
        return "; ".join(_flat(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def failures_table(results: Results) -> Table:
    """The trials that did not end well, alike ones together."""
    alike = grouped(
        results.failures(), lambda r: (shown_framework(r.trial), r.trial.model, r.trial.task, r.status, r.reason)
    )
    rows = [
        [text(framework), text(model), text(task), text(status, "bad"), number(len(found), str(len(found))), text(reason),
         text(found[0].log)]
        for (framework, model, task, status, reason), found in alike.items()
    ]  # fmt: skip
    return Table(
        name="failures",
        caption="Trials that did not end well.",
        headings=(
            *words("framework", "model", "task", "status"),
            *numbers("trials"),
            *words("reason", "log of the first"),
        ),
        rows=rows_of(rows),
    )
