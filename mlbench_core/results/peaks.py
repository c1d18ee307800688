"""What a device can do at most, measured and by its data sheet: the yardstick for MFU and for what is impossible."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlbench_core.devices import gpu_numbers, kind_of, number_of, one_of
from mlbench_core.record import Record
from mlbench_core.trial import Trial

DATA_SHEETS: dict[str, dict[str, float]] = {
    # Dense operations per second without sparsity, from NVIDIA's data sheets of the SXM (else PCIe) cards; the longest name
    # that the card's own name contains as words counts: an L40 is no L4. T4 and V100 have neither bf16 nor TF32.
    "H200": {"fp32": 67e12, "tf32": 494.7e12, "bf16": 989.4e12, "fp16": 989.4e12, "fp64": 67e12},
    "H100 PCIe": {"fp32": 51e12, "tf32": 378e12, "bf16": 756e12, "fp16": 756e12, "fp64": 51e12},
    "H100": {"fp32": 67e12, "tf32": 494.7e12, "bf16": 989.4e12, "fp16": 989.4e12, "fp64": 67e12},
    "A100": {"fp32": 19.5e12, "tf32": 156e12, "bf16": 312e12, "fp16": 312e12, "fp64": 19.5e12},
    "L40S": {"fp32": 91.6e12, "tf32": 183e12, "bf16": 362e12, "fp16": 362e12},
    "L4": {"fp32": 30.3e12, "tf32": 60e12, "bf16": 121e12, "fp16": 121e12},
    "V100": {"fp32": 15.7e12, "fp16": 125e12, "fp64": 7.8e12},
    "T4": {"fp32": 8.1e12, "fp16": 65e12},
}


def measured_peaks(records: Iterable[Record]) -> dict[tuple[str, str, str], float]:
    """Operations per second of the fastest matrix product that any framework reached, by `peaks_key`."""
    peaks: dict[tuple[str, str, str], float] = {}
    for record in records:
        key = peaks_key(record)
        if record.measured.peak_flops:
            peaks[key] = max(peaks.get(key, 0.0), record.measured.peak_flops)
    return peaks


def peaks_key(record: Record) -> tuple[str, str, str]:
    """(machine, one device, precision) of a record."""
    return record.machine, one_of(record.trial.device), record.trial.precision


def peak_of_all(record: Record, peaks: Mapping[tuple[str, str, str], float]) -> float | None:
    """Of `peaks`, that of all the devices of a record together: several GPUs add up; virtual CPUs share one."""
    peak, device = peaks.get(peaks_key(record)), record.trial.device
    return peak if peak is None or kind_of(device) == "cpu" else peak * number_of(device)


def data_sheet_peak(facts: Mapping[str, Any], device: str, precision: str) -> float | None:
    """Operations per second by the data sheets of all cards behind "cuda:N" or "cuda:N-M"; None for the CPU and for cards
    that are not in the table."""
    gpus, numbers = facts.get("gpus") or [], gpu_numbers(device)
    if not numbers or max(numbers) >= len(gpus):
        return None
    peaks = [_of_card(gpus[number].get("name", ""), precision) for number in numbers]
    known = [peak for peak in peaks if peak is not None]
    return sum(known) if len(known) == len(peaks) else None


def _of_card(name: str, precision: str) -> float | None:
    found = [card for card in DATA_SHEETS if re.search(rf"\b{card}\b", name)]
    return DATA_SHEETS[max(found, key=len)].get(precision) if found else None


PER_CYCLE = {"avx512f": 64, "avx2": 32, "neon": 64}
"""float32 operations per core and cycle at most: two fused multiply-adds on full vectors, of 512 or 256 bits. Arm's vectors
have 128 bits on many cores, 256 on a Neoverse V1 and 512 on an A64FX; the flags do not tell which."""
NARROW = 64
"""A matrix unit does this many times float32's operations on 16-bit numbers at most: 4,096 per cycle. AMX does a quarter of
that: 16 x 16 x 32 multiply-adds in 16 cycles."""
TURBO = 2.0
"""No processor runs faster than this many times the frequency that it states, where it states no highest one."""
UNKNOWN = 2.0
"""On a device of which nothing is known, this many times the measured peak is called impossible (own)."""


def limit(facts: Mapping[str, Any], trial: Trial, measured: float | None) -> float | None:
    """Operations per second that the trial's device cannot exceed, whoever measures; None where nothing is known.

    A GPU's is its data sheet's. A CPU's is threads x frequency x operations per cycle, generously: what was measured may have
    been measured while others used the processor, so exceeding that proves nothing.
    """
    sheet = data_sheet_peak(facts, trial.device, trial.precision)
    if sheet is not None:
        return sheet
    simd, frequency = facts.get("cpu_simd"), facts.get("cpu_mhz_max")
    if frequency is None and facts.get("cpu_mhz"):
        frequency = TURBO * facts["cpu_mhz"]
    if kind_of(trial.device) == "cpu" and frequency and simd in PER_CYCLE:
        width = {"fp64": 0.5, "bf16": NARROW, "fp16": NARROW}.get(trial.precision, 1)
        return float(trial.threads * frequency * 1e6 * PER_CYCLE[simd] * width)
    return None if measured is None else UNKNOWN * measured
