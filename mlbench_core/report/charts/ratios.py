"""What a GPU gains over the CPU, a precision over fp32, and several devices over one, for the same arm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import evolve

from mlbench_core.devices import number_of, one_of
from mlbench_core.report.charts.chart import Chart, empty
from mlbench_core.report.charts.dots import BARS, dots, marks
from mlbench_core.report.charts.series import Point, over, points
from mlbench_core.report.charts.style import Look
from mlbench_core.results import Results
from mlbench_core.results.columns import decimal
from mlbench_core.results.groups import Group
from mlbench_core.results.metrics import samples_per_second

BASE = "fp32"


def gpu_vs_cpu(results: Results, look: Look) -> Chart:
    """Training throughput on each GPU over that on the CPU, block by block."""
    found = points(results, look, "train", samples_per_second)
    gains = _over(found, lambda group: evolve(group, device="cpu"))
    return dots(
        "gpu_vs_cpu", "Speed-up of a GPU over the CPU",
        marks(((gain.group.device, gain) for gain in gains), panel=("model", "node", "dataset")), look,
        label="times as fast as on the CPU",
        caption=f"Training throughput on the GPU over that of the same arm on the CPU, block by block. {BARS}",
        missing="A run on the CPU and a GPU fills it: --devices cpu cuda:0.", show=decimal,
    )  # fmt: skip


def precision(results: Results, look: Look) -> Chart:
    """Training throughput in each precision over that in fp32, or the run's first precision, block by block."""
    found = points(results, look, "train", samples_per_second)
    known = list(dict.fromkeys(point.group.precision for point in found))
    if not known:
        return empty("precision", "Speed-up by precision", MISSING)
    base = BASE if BASE in known else known[0]
    gains = _over(found, lambda group: evolve(group, precision=base))
    return dots(
        "precision", f"Speed-up of a precision over {base}",
        marks(((gain.group.precision, gain) for gain in gains), line=("batch_size",)), look,
        label=f"times as fast as in {base}",
        caption=f"Training throughput over that of the same arm in {base}, block by block. {BARS}",
        missing=MISSING, show=decimal,
    )  # fmt: skip


def scaling(results: Results, look: Look) -> Chart:
    """Training throughput on several devices together over that on one of them, block by block; linear is their number."""
    found = points(results, look, "train", samples_per_second)
    gains = [*_over(found, _one_with_its_share), *_over(found, _one_with_the_batch)]
    once = list({(gain.group, gain.arm): gain for gain in reversed(gains)}.values())[::-1]
    return dots(
        "scaling", "Speed-up by several devices",
        marks(((gain.group.device, gain) for gain in once), line=("batch_size",)), look,
        label="times as fast as on one device",
        caption="Training throughput of several devices over that of one with as many samples per device, or else with the "
        f"same batch, block by block; linear scaling is the number of devices. {BARS}",
        missing="A run on one device and on several fills it: --devices cuda:0 cuda:0-1.", show=decimal,
    )  # fmt: skip


def _one_with_its_share(group: Group) -> Group:
    return evolve(group, device=one_of(group.device), batch_size=group.batch_size // number_of(group.device))


def _one_with_the_batch(group: Group) -> Group:
    return evolve(group, device=one_of(group.device))


MISSING = "A run with several precisions fills it: --precision fp32 bf16."


def _over(found: Sequence[Point], base: Callable[[Group], Group]) -> list[Point]:
    """Each point over that of the same arm in its base group, where that is another."""
    known = {(point.group, point.arm): point for point in found}
    gains = []
    for point in found:
        other = known.get((base(point.group), point.arm))
        if other is not None and other is not point and (gain := over(point, other)):
            gains.append(gain)
    return gains
