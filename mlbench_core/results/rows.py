"""Records -> rows: a row per cell and block, from its training and its inference trial, with flags and parity."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from attrs import evolve

from mlbench_core.devices import number_of
from mlbench_core.entry import shown_framework
from mlbench_core.keys import TASKS
from mlbench_core.nodes import where
from mlbench_core.record import Flag, Record
from mlbench_core.results import metrics
from mlbench_core.results.choices import Choice, efficiencies
from mlbench_core.results.flags import FlagsOf, arm_flags
from mlbench_core.results.groups import arm_label, group_of, group_of_row, grouped
from mlbench_core.results.peaks import data_sheet_peak, limit, measured_peaks, peak_of_all
from mlbench_core.results.row import Parity, Row, RowStatus
from mlbench_core.thresholds import Limits
from mlbench_core.trial import Trial
from mlbench_core.verify.rungs import ACCURACY, ParityResult, least_proven

IMPOSSIBLE = "impossible speed"
IMPOSSIBLE_SCALING = "impossible scaling"


def rows_of(
    records: Iterable[Record],
    machines: Mapping[str, Mapping[str, Any]],
    limits: Limits,
    flags_of: FlagsOf,
    found: Iterable[Choice] = (),
    tasks: Collection[str] = TASKS,
) -> list[Row]:
    """A row per training trial, joined with the inference trial of its cell; parity is still "unverified".

    machines: facts by the key that records name. flags_of: the flags of a record by itself. found: what the
    arms gain, of which scaling is shown. tasks: those of the run; where nothing was to be trained, a row per inference trial.
    Cells that differ only in the training batch size share one inference trial. A row with a rejected flag has the status
    "rejected".
    """
    records = list(records)
    shared = {
        _shared(record.trial): (record, metrics.inference(record)) for record in records if record.trial.task == "infer"
    }
    together = {arm: arm_flags(mine, limits) for arm, mine in grouped(records, lambda record: record.trial.arm).items()}
    peaks = measured_peaks(records)
    scaling = efficiencies(found)
    rows = []
    for first in (record for record in records if record.trial.task == ("train" if "train" in tasks else "infer")):
        infer, inference = shared.get(_shared(first.trial), (None, None))
        row = metrics.with_process(_cell(first), first)
        flags: list[Flag] = []
        if first.trial.task == "train":
            facts = machines.get(first.machine, {})
            row = _with_efficiency(metrics.with_training(row, first), first, peak_of_all(first, peaks), facts)
            arm = arm_label(first.trial)
            row, flags = _scaled(row, scaling.get((group_of(first.trial), arm, first.trial.block)), limits)
            flags += _impossible(first, row.measured_peak_tflops, facts, limits)
        if inference is not None:
            row = evolve(
                row,
                inference_samples_per_second=inference.samples_per_second,
                inference_latency=inference.latency,
            )
        both = [first] if infer is None or infer is first else [first, infer]
        flags += [_of_task(record, flag) for record in both for flag in flags_of(record)]
        flags += [_of_task(record, flag) for record in both for flag in together[record.trial.arm]]
        flags += first.notes
        if first.largest_batch is not None:
            flags.append(Flag("largest batch", "note", str(first.largest_batch)))
        wanted = "infer" in tasks and number_of(first.trial.device) * first.trial.num_nodes == 1
        rows.append(_with_status(evolve(row, flags=tuple(flags)), both, wanted and infer is None))
    return rows


def _scaled(row: Row, efficiency: float | None, limits: Limits) -> tuple[Row, list[Flag]]:
    """The row with the efficiency of several devices against one, and a flag if it is more than there can be."""
    if efficiency is None:
        return row, []
    row = evolve(row, scaling_efficiency_pct=100 * efficiency)
    if efficiency <= limits.scaling:
        return row, []
    text = f"training: {100 * efficiency:.0f} % of linear scaling over {number_of(row.device)} devices: was one alone slowed?"
    return row, [Flag(IMPOSSIBLE_SCALING, "rejected", text)]


def _of_task(record: Record, flag: Flag) -> Flag:
    return evolve(flag, text=f"{record.trial.task}: {flag.text}")


def _shared(trial: Trial) -> tuple[Any, ...]:
    names = (
        "framework",
        "variant",
        "model",
        "dataset",
        "device",
        "node",
        "num_nodes",
        "precision",
        "execution",
        "block",
    )
    return tuple(getattr(trial, name) for name in names)


def _cell(record: Record) -> Row:
    trial = record.trial
    return Row(
        framework=trial.framework,
        variant=trial.variant,
        model=trial.model,
        dataset=trial.dataset,
        device=trial.device,
        batch_size=trial.batch_size,
        precision=trial.precision,
        execution=record.measured.execution or trial.execution,  # what "default" turned out to be
        block=trial.block,
        largest_batch=None if record.largest_batch is None else record.largest_batch.size,
        node=trial.node,
        num_nodes=trial.num_nodes,
    )


def _with_efficiency(row: Row, record: Record, peak: float | None, facts: Mapping[str, Any]) -> Row:
    """MFU (Chowdhery et al. 2022, appendix B): FLOPs by the architecture / time / peak, for either peak that is known."""
    sheet = data_sheet_peak(facts, record.trial.device, record.trial.precision)
    rate = metrics.flops_per_second(record)
    return evolve(
        row,
        measured_peak_tflops=None if peak is None else peak / 1e12,
        data_sheet_peak_tflops=None if sheet is None else sheet / 1e12,
        mfu_pct=None if peak is None or rate is None else 100 * rate / peak,
        mfu_data_sheet_pct=None if sheet is None or rate is None else 100 * rate / sheet,
    )


def _impossible(record: Record, peak_tflops: float | None, facts: Mapping[str, Any], limits: Limits) -> list[Flag]:
    """A flag if the speed is more than the device can do."""
    rate = metrics.flops_per_second(record)
    most = limit(facts, record.trial, None if peak_tflops is None else peak_tflops * 1e12)
    if rate is None or most is None or rate <= limits.mfu * most:
        return []
    text = f"training: {rate / 1e12:.3g} TFLOP/s, and the device can do {most / 1e12:.3g} at most: was it waited for?"
    return [Flag(IMPOSSIBLE, "rejected", text)]


def _with_status(row: Row, records: Iterable[Record], missing: bool) -> Row:
    """missing: the inference trial that the run was to make. Several devices together are only trained on."""
    status: RowStatus = "interrupted" if missing else "ok"
    reason = "infer: the run ended before this trial" if missing else ""
    for record in records:
        if record.status != "ok":
            status, reason = record.status, f"{record.trial.task}: {record.reason}"
            break
    rejected = [flag for flag in row.flags if flag.level == "rejected"]
    if status == "ok" and rejected:
        status, reason = "rejected", rejected[0].text
    return evolve(row, status=status, reason=reason)


def judged(rows: Iterable[Row], parity: Iterable[ParityResult]) -> list[Row]:
    """The rows with their parity.

    The last rung is checked here: where the final validation accuracies of a group's frameworks lie further apart than
    `rungs.ACCURACY`, none of them is comparable in that group, in the blocks that repeat the measuring either.
    """
    found = least_proven(parity)
    rows = [
        evolve(row, parity=_parity(found.get((shown_framework(row), row.model, row.device, row.node)))) for row in rows
    ]
    together = side_by_side(rows)
    apart = {group_of_row(some[0]): why for some in together if (why := _apart(some))}
    return [_judge_accuracy(row, apart.get(group_of_row(row), "")) for some in together for row in some]


def _apart(rows: list[Row]) -> str:
    """Why the rows, which stand side by side, fail the last rung; empty if they do not."""
    spread = accuracy_spread(rows)
    if spread is None or spread <= ACCURACY:
        return ""
    first = rows[0]
    place = f"on {where(first)} at batch size {first.batch_size} in {first.precision}"
    return f"final validation accuracies {100 * spread:.1f} points apart {place}"


def _judge_accuracy(row: Row, apart: str) -> Row:
    return evolve(row, parity=Parity("not comparable", apart)) if apart and row.parity.verdict == "verified" else row


def _parity(result: ParityResult | None) -> Parity:
    if result is None:
        return Parity("unverified")
    if result.verdict == "failed":
        return Parity("not comparable", result.why)
    return Parity(result.verdict)


def side_by_side(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows that stand side by side: of one group, in one block."""
    return list(grouped(rows, lambda row: (group_of_row(row), row.block)).values())


def accuracy_spread(rows: Iterable[Row]) -> float | None:
    """The largest minus the smallest final validation accuracy, in [0, 1]; None with fewer than two of them."""
    known = [row.final_val_accuracy for row in rows if row.final_val_accuracy is not None]
    return max(known) - min(known) if len(known) > 1 else None
