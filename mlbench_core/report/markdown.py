"""The report as Markdown: RESULTS.md holds the figures, ANALYSIS.md what they say, for whom, and what they do not say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlbench_core.entry import shown_framework
from mlbench_core.files import replace_text
from mlbench_core.nodes import where
from mlbench_core.plain_text import markdown
from mlbench_core.report.advice import advice, said_once
from mlbench_core.report.choices import questions
from mlbench_core.report.headline import Headline, crossovers, heading, headline, joined
from mlbench_core.report.reproduce import blocks_of, reproduce
from mlbench_core.results import Results
from mlbench_core.results.arms import arms_of
from mlbench_core.results.compared import METRIC
from mlbench_core.results.groups import grouped
from mlbench_core.results.row import BY_NAME

FIGURES = (
    "samples_per_second", "largest_batch", "first_step_s", "time_to_1000_steps_s", "peak_memory_mb", "final_val_accuracy",
    "inference_latency_p50_ms", "inference_latency_p99_ms", "gpu_utilization_pct", "mfu_pct",
)  # fmt: skip
"""The columns of figures in the table of arms; one that nothing was measured for is left out."""
RESULTS_NAME, ANALYSIS_NAME = "RESULTS.md", "ANALYSIS.md"


def write_markdown(results: Results, folder: Path, title: str) -> list[Path]:
    """Writes RESULTS.md and ANALYSIS.md into the folder."""
    first = headline(results)
    return [
        replace_text(folder / RESULTS_NAME, results_text(results, first, title)),
        replace_text(folder / ANALYSIS_NAME, analysis_text(results, first, title)),
    ]


def results_text(results: Results, first: Headline, title: str) -> str:
    """The figures: who is ahead, every comparison, every arm, parity, machine, commands."""
    parts = [
        f"# {markdown(title)}: results",
        "",
        "Written by `mlbench report --results FOLDER --format markdown`; every figure is measured.",
        "",
    ]
    parts += _facts(results, first)
    parts += ["", "## Who is ahead", "", *(f"- {markdown(a.heading)}: {markdown(a.text)}" for a in first.answers)]
    if not first.answers:
        parts.append("Nothing was compared: there is one arm only, or none has ended.")
    for question in questions(results):
        parts += ["", f"## {question.text}", "", *(f"- {markdown(answer)}" for answer in question.answers)]
    if first.doubts:
        parts += ["", "## What to distrust", "", *(f"- {markdown(doubt)}" for doubt in first.doubts)]
    parts += ["", "## Every comparison", "", *_comparisons(results)]
    parts += ["", "## Every arm", "", f"Medians over {blocks_of(results)} blocks.", "", *_arms(results)]
    parts += ["", "## The same again", "", "In the folder of the results file:", "", "```sh"]
    parts += [f"{command.line}  # {command.purpose}" for command in reproduce(results)]
    return "\n".join([*parts, "```", ""])


def analysis_text(results: Results, first: Headline, title: str) -> str:
    """What the numbers say, for whom, and what they do not say."""
    parts = [
        f"# {markdown(title)}: analysis",
        "",
        "Written by `mlbench report --results FOLDER --format markdown` from the same results.",
        "",
    ]
    parts += _facts(results, first)
    parts += [
        "",
        "## What the numbers say",
        "",
        *_verdicts(results, first),
        *(f"- {markdown(line)}" for line in crossovers(results.comparisons)),
    ]
    parts += ["", "## For whom", ""]
    for use, found in grouped(said_once(advice(results)), lambda one: one.use).items():
        parts += [f"### {use[:1].upper()}{use[1:]}", ""]
        for one in found:
            where = f"{markdown(one.scope)}: " if one.scope else ""
            parts.append(f"- {where}{markdown(one.text)}")
            if one.command:
                parts.append(f"  `{one.command}`")
        parts.append("")
    parts += ["## What they do not say", "", *(f"- {markdown(line)}" for line in _limits(results, first))]
    return "\n".join([*parts, ""])


def _facts(results: Results, first: Headline) -> list[str]:
    lines = [f"- Compared: {markdown(first.compared)}"]
    lines += [f"- On: {markdown(machine)}" for machine in first.machines]
    lines.append(f"- Parity: {markdown(first.parity)}")
    versions = {
        shown_framework(r.trial): r.measured.framework_version for r in results.records if r.measured.framework_version
    }
    if versions:
        lines.append(f"- Versions: {markdown(', '.join(f'{name} {version}' for name, version in versions.items()))}")
    return lines


def _verdicts(results: Results, first: Headline) -> list[str]:
    total = sum(first.counts.values())
    if not total:
        return ["- Nothing was compared."]
    counts = joined([f"{number} {verdict}" for verdict, number in first.counts.items()])
    compare = results.settings.compare
    lines = [
        f"- Of {total} comparisons of throughput and latency the verdicts are: {counts}. A difference is called one from "
        f"{100 * compare.delta:g} % on, at {100 * compare.alpha:g} % false alarms."
    ]
    for metric, found in grouped(first.answers, lambda answer: answer.metric).items():
        decided = sum(answer.decided for answer in found)
        lines.append(
            f"- By {metric}, {decided} of {len(found)} groups have an arm that is ahead of or equal to all others."
        )
    return lines


def _limits(results: Results, first: Headline) -> list[str]:
    trials = [record.trial for record in results.records]
    devices = joined(sorted({where(trial) for trial in trials})) or "no device"
    precisions = joined(sorted({trial.precision for trial in trials})) or "no precision"
    data = joined(sorted({trial.dataset for trial in trials})) or "no data set"
    lines = [
        f"They hold on this machine, for {devices} at {precisions}, with these versions; another machine may rank otherwise.",
        f"The data are {data}: accuracies there say that training works, not which framework generalises better.",
        "All blocks are of one sitting: what differs between two days or two machines is in no interval here.",
        "Speed is of models lowered from one description, not of hand-tuned code for one framework.",
    ]
    return [*lines, *first.doubts]


def _comparisons(results: Results) -> list[str]:
    rows = []
    for c in results.comparisons:
        ratio, interval, blocks = "n/a", "n/a", "0"
        if c.ratio is not None:
            ratio, blocks = f"{c.ratio.value:.3f}", str(c.ratio.blocks)
            interval = "n/a" if c.ratio.low is None else f"{c.ratio.low:.3f} to {c.ratio.high:.3f}"
        verdict = METRIC[c.metric].word(c.verdict) + (f" ({c.reason})" if c.reason else "")
        if c.blocks_needed:
            verdict += f" ({c.blocks_needed} blocks needed)"
        rows.append([heading(c.group), c.metric, c.a, c.b, ratio, interval, blocks, verdict])
    titles = ["what", "metric", "first", "second", "ratio", "interval", "blocks", "verdict on the first"]
    return _table(titles, rows)


def _arms(results: Results) -> list[str]:
    arms = [arm.shown for arm in arms_of(results.rows)]
    what = ["model", "device", "batch_size", "precision", "framework", "execution"]
    figures = [name for name in FIGURES if any(columns[name] is not None for columns in arms)]
    rows = [
        [*(str(columns[n]) for n in what), *(_figure(n, columns[n]) for n in figures), columns["status"]]
        for columns in arms
    ]
    return _table([BY_NAME[name].label for name in (*what, *figures, "status")], rows)


def _figure(name: str, value: Any) -> str:
    return "n/a" if value is None else BY_NAME[name].show(value)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return [*lines, *(f"| {' | '.join(markdown(cell) for cell in row)} |" for row in rows)]
