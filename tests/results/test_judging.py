"""Flags, bottlenecks, peaks and comparisons, on records made by hand; among them the traps that others fell into."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from mlbench_core import Results
from mlbench_core.machine.facts import machine_facts, machine_flags
from mlbench_core.record import Epoch, Measured, MemoryReading, Observed, Record
from mlbench_core.results.bottleneck import shares
from mlbench_core.results.compared import MEMORY, TRAINING
from mlbench_core.results.comparisons import Comparison, compare, unfinished
from mlbench_core.results.flags import arm_flags, trial_flags
from mlbench_core.results.peaks import data_sheet_peak, limit
from mlbench_core.results.row import COLUMNS, Row, plain
from mlbench_core.results.rows import rows_of
from mlbench_core.thresholds import Compare, ExtendUntil, Limits, Measure
from mlbench_core.trial import Calibration, Trial

LIMITS = Limits()
USED = {"wall_s": 5.0, "cpus": 2.0, "own_cpu_s": 9.0, "preempted": 3.0}
"""Of a worker with two CPUs and five seconds: a tenth of its CPU time is one second."""
FULL = {"wall_s": 5.0, "cpus": 32.0, "own_cpu_s": 158.0, "preempted": 500.0}
"""Of one that uses all of its 32 CPUs: a quarter of one CPU is 1.25 seconds."""
STARVED = {"wall_s": 5.0, "cpus": 1.0, "own_cpu_s": 2.5, "preempted": 600.0, "others_cpu_s": 0.0}
"""Of one that had its CPU for half of the time, and does not see who had it for the other half."""
FLAGS_OF = partial(trial_flags, limits=LIMITS)
H100 = {"gpus": [{"name": "NVIDIA H100 80GB HBM3"}]}


def trial(framework: str = "one", block: int = 0, **changed: Any) -> Trial:
    made = Trial(
        framework=framework,
        model="mlp",
        dataset="digits",
        device="cpu",
        batch_size=32,
        precision="fp32",
        execution="default",
        task="train",
        block=block,
        num_epochs=0,
        seed=0,
        threads=2,
        measure=Measure(),
    )
    return evolve(made, **changed)


def record(values: list[float] | None = None, k: int = 10, *, of: Trial | None = None, **measured: Any) -> Record:
    measured.setdefault("first_step_s", 0.1)
    found = Measured(values=values or [0.1] * 30, calibration=Calibration(k, 100), steady=True, **measured)
    return Record(trial=of or trial(), status="ok", reason="", measured=found)


def names(found: Record) -> set[tuple[str, str]]:
    return {(flag.name, flag.level) for flag in trial_flags(found, LIMITS)}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (record(), set()),
        (record([1e-4] * 30, first_step_s=1e-4), {("short values", "unstable")}),
        (record(list(np.linspace(0.09, 0.115, 30) [np.random.default_rng(0).permutation(30)])), {("spread", "warn")}),
        (record(list(np.linspace(0.07, 0.13, 30)[np.random.default_rng(0).permutation(30)])), {("spread", "unstable")}),
        (record(disturbance={"measure": {"cgroup_throttled_s": 0.1}}), {("throttled", "unstable")}),
        (record(disturbance={"measure": {"swapped_bytes": 4096.0}}), {("swapping", "unstable")}),
        (record(disturbance={"measure": USED | {"others_cpu_s": 0.5}}), set()),
        (record(disturbance={"measure": USED | {"others_cpu_s": 1.1}}), {("disturbed", "unstable")}),
        (record(disturbance={"latency": USED | {"steal_s": 1.1}}), {("disturbed", "unstable")}),
        (record(disturbance={"measure": USED | {"others_cpu_s": 1.1, "resolution_s": 0.2}}), set()),
        (record(disturbance={"train": USED | {"others_cpu_s": 1.1}}), {("disturbed", "warn")}),
        (record(disturbance={"measure": FULL | {"others_cpu_s": 1.5}}), {("disturbed", "unstable")}),
        (record(disturbance={"measure": FULL | {"others_cpu_s": 1.0}}), set()),
        (record(disturbance={"measure": FULL | {"own_cpu_s": 100.0, "others_cpu_s": 1.5}}), set()),
        (record(disturbance={"measure": STARVED}), {("disturbed", "unstable")}),
        (record(disturbance={"measure": STARVED}, of=trial(device="cuda:0")), set()),
        (record(disturbance={"measure": STARVED | {"preempted": 99.0}}), set()),
        (record(disturbance={"measure": STARVED | {"own_cpu_s": 4.6}}), set()),
        (record(disturbance={"measure": STARVED | {"cgroup_throttled_s": 2.0}}), {("throttled", "unstable")}),
        (record(disturbance={"measure": STARVED | {"wall_s": 0.01, "own_cpu_s": 0.008, "preempted": 2.0}}), set()),
        (record(first_step_s=0.6), {("slow first step", "note")}),
        (record(read_back_s=0.02), {("not synchronised", "rejected")}),
        (record(read_back_s=0.005), set()),
        (record(memory_during=[100_000_000 + 2_000_000 * i for i in range(30)]), {("memory grows", "warn")}),
        (record(memory_during=[100_000_000] * 2 + [180_000_000] * 28), set()),  # a cache that has filled
        (Record(trial=trial(), status="failed", reason="no"), set()),
    ],
)  # fmt: skip
def test_flags(found: Record, expected: set[tuple[str, str]]) -> None:
    assert names(found) == expected


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        ({"thermal_slowdown": 0.2}, "thermal slowdown"),
        ({"other_processes": 1.0}, "GPU shared"),
        ({"power_cap": 1.0}, None),
    ],
)
def test_the_gpu_raises_flags(gpu: dict[str, float], expected: str | None) -> None:
    found = evolve(record(), observed=Observed(gpu=gpu))
    assert names(found) == ({(expected, "unstable")} if expected else set())


def test_processes_that_differ() -> None:
    def arm(*medians: float) -> list[Record]:
        return [record([m] * 30, of=trial(block=i)) for i, m in enumerate(medians)]

    assert arm_flags(arm(0.1, 0.101, 0.102, 0.1), LIMITS) == []
    assert [f.name for f in arm_flags(arm(0.1, 0.13, 0.1, 0.13), LIMITS)] == ["processes differ"]  # deviate by 15 %
    assert [f.name for f in arm_flags(arm(*[0.1] * 30, 0.17), LIMITS)] == ["processes differ"]  # one 66 % off
    assert arm_flags(arm(0.1, 0.2), LIMITS) == []  # two processes have no deviation worth the name


def epoch(**seconds: float) -> Epoch:
    parts = {"data_wait_s": 0.0, "placement_s": 0.0, "dispatch_s": 0.0, "device_wait_s": 0.0} | seconds
    return Epoch(seconds=1.0, loss=1.0, samples=320, **parts)


@pytest.mark.parametrize(
    ("device", "parts", "words"),
    [
        ("cpu", {"data_wait_s": 0.43, "dispatch_s": 0.4}, "input-bound: 43% of the epoch waits for data"),
        ("cpu", {"dispatch_s": 0.95}, "compute-bound: 95% of the epoch is the device's"),
        (
            "cuda:0",
            {"placement_s": 0.6, "dispatch_s": 0.3},
            "transfer-bound: 60% of the epoch moves batches to the device",
        ),
        ("cuda:0", {"dispatch_s": 0.9}, "launch-bound: 90% of the epoch goes into asking for steps, the device waits"),
        ("cuda:0", {"dispatch_s": 0.1, "device_wait_s": 0.8}, "compute-bound: 80% of the epoch is the device's"),
    ],
)
def test_bottlenecks(device: str, parts: dict[str, float], words: str) -> None:
    # Ten steps of 10 ms per epoch. A call with an idle device takes 0.1 s: at most 1 s of dispatch is the host's own.
    found = shares(record(of=trial(device=device), epochs=[epoch(**parts)], step_dispatches=[0.1] * 5))
    assert found is not None
    assert found.words == words


@pytest.mark.parametrize(
    ("step_s", "parts", "words"),
    [
        # Inside train_step for 0.9 s, but a call takes 10 ms when the device is idle: the queue was full.
        (0.09, {"dispatch_s": 0.9}, "compute-bound: 90% of the epoch is the device's"),
        # Placing a batch waits for the device in some frameworks, and the next batch may be awaited while it computes.
        (0.09, {"dispatch_s": 0.3, "placement_s": 0.6}, "compute-bound: 90% of the epoch is the device's"),
        (0.09, {"data_wait_s": 0.5, "device_wait_s": 0.4}, "compute-bound: 90% of the epoch is the device's"),
        (0.03, {"dispatch_s": 0.3, "placement_s": 0.6}, "transfer-bound: 60% of the epoch moves batches to the device"),
        (0.03, {"data_wait_s": 0.6, "device_wait_s": 0.3}, "input-bound: 60% of the epoch waits for data"),
        # Steps of an epoch may be slower than steady ones, or faster: the device never computes for longer than the epoch.
        (0.2, {"dispatch_s": 0.9}, "compute-bound: 100% of the epoch is the device's"),
    ],
)
def test_what_the_host_does_while_the_device_computes_costs_nothing(
    step_s: float, parts: dict[str, float], words: str
) -> None:
    of, calls = trial(device="cuda:0"), [0.01] * 5
    found = shares(record([step_s] * 30, k=1, of=of, epochs=[epoch(**parts)], step_dispatches=calls))
    assert found is not None
    assert found.dispatch == pytest.approx(min(0.1, parts.get("dispatch_s", 0.0)))
    assert found.words == words


def test_a_short_epoch_of_a_launch_bound_model_ends_with_a_wait() -> None:
    # A steady step takes 10 ms and asking for one as long: the wait at the end is the last step's, not the device's slowness.
    parts = {"dispatch_s": 0.7, "device_wait_s": 0.2}
    found = shares(record(k=10, of=trial(device="cuda:0"), epochs=[epoch(**parts)], step_dispatches=[0.01] * 5))
    assert found is not None
    assert found.launch == pytest.approx(1.0)
    launched = evolve(found, dispatch=0.7, device=0.2)
    assert launched.words.startswith("launch-bound: 70%")
    assert evolve(launched, launch=0.5).words.startswith("compute-bound")


@pytest.mark.parametrize(
    ("latency_s", "words"),
    [
        (0.101, "launch-bound: 70% of the epoch goes into asking for steps, the device waits"),
        (0.200, "compute-bound: 100% of the epoch is the device's"),
    ],
)
def test_steady_steps_that_the_host_was_slower_in_hide_nothing(latency_s: float, words: str) -> None:
    """A steady step took 0.12 s and asking 0.1: is that a slow device, or a host that was slow then? A step alone tells."""
    calls: dict[str, Any] = {"step_dispatches": [0.1] * 5, "step_latencies": [latency_s] * 5}
    parts = {"dispatch_s": 0.7, "placement_s": 0.2}
    found = shares(record([0.12] * 30, k=1, of=trial(device="cuda:0"), epochs=[epoch(**parts)], **calls))
    assert found is not None
    assert found.words == words


def test_data_sheets() -> None:
    assert data_sheet_peak(H100, "cuda:0", "bf16") == 989.4e12
    assert data_sheet_peak({"gpus": [{"name": "NVIDIA H100 PCIe"}]}, "cuda:0", "bf16") == 756e12
    assert data_sheet_peak({"gpus": [{"name": "NVIDIA L40S"}]}, "cuda:0", "fp32") == 91.6e12
    assert data_sheet_peak({"gpus": [{"name": "Tesla V100-SXM2-16GB"}]}, "cuda:0", "fp16") == 125e12
    assert data_sheet_peak(H100, "cpu", "fp32") is None
    for unknown in ("X", "NVIDIA L40", "NVIDIA T400 4GB"):  # an L40 is three times an L4
        assert data_sheet_peak({"gpus": [{"name": unknown}]}, "cuda:0", "fp32") is None


def test_limits_of_a_cpu() -> None:
    facts = {"cpu_simd": "avx512f", "cpu_mhz": 2000.0, "cpu_mhz_max": 3000.0}
    assert limit(facts, trial(), 1e9) == 2 * 3e9 * 64
    assert limit(facts | {"cpu_mhz_max": None}, trial(), 1e9) == 2 * 4e9 * 64
    assert limit({}, trial(), 1e9) == 2e9
    assert limit({}, trial(), None) is None


def cell(train: Record, facts: dict[str, Any], peak: float | None = None) -> Row:
    infer = record(of=evolve(train.trial, task="infer", batch_size=1), peak_flops=peak, latencies=[1e-3] * 130)
    return rows_of([train, infer], {"": facts}, LIMITS, FLAGS_OF)[0]


def test_mfu_and_the_impossible() -> None:
    # 32 samples x 1e12 FLOP in 0.1 s: 320 TFLOP/s, of 989.4 by the data sheet and 640 measured.
    of = trial(device="cuda:0", precision="bf16")
    row = cell(record(k=1, of=of, flops_per_sample=10**12), H100, 640e12)
    assert (row.mfu_pct, row.mfu_data_sheet_pct) == pytest.approx((50, 100 * 320 / 989.4))
    assert (row.measured_peak_tflops, row.data_sheet_peak_tflops, row.status) == (640, 989.4, "ok")
    row = cell(record(k=4, of=of, flops_per_sample=10**12), H100, 640e12)
    assert row.status == "rejected"
    assert "1.28e+03 TFLOP/s" in row.reason


def test_an_impossible_speed_is_not_compared() -> None:
    made = [
        record(k=k, of=trial(name, device="cuda:0", precision="bf16"), flops_per_sample=10**12, execution="eager")
        for name, k in (("a", 4), ("b", 1), ("c", 1))
    ]
    config = {"limits": {}, "compare": {}}
    found = Results(records=tuple(made), config=config, machines={"": H100}).comparisons
    reasons = {(c.a, c.b): c.reason for c in found if c.primary}
    assert "1.28e+03 TFLOP/s" in reasons["a", "b"]
    assert reasons["b", "c"] == ""


def test_throughput_is_not_samples_over_the_mean_step() -> None:
    """optimum-benchmark divides all samples by one mean step, so that more steps look like more speed."""
    row = cell(record([0.1] * 30, k=100), {})
    assert row.samples_per_second == pytest.approx(32 / 1e-3)


def test_outliers_are_counted_and_kept() -> None:
    row = cell(record([0.1, 0.101] * 15 + [0.2, 0.3]), {})
    assert row.outliers == 2
    assert row.samples_per_second == pytest.approx(32 * 10 * 32 / (15 * 0.201 + 0.5))


def test_memory_columns_are_named_and_unknown_is_not_zero() -> None:
    readings = [MemoryReading("live_tensors_peak", 5_000_000), MemoryReading("host_peak", 9_000_000)]
    gpu = cell(
        evolve(record(of=trial(device="cuda:0"), memory=readings), observed=Observed(device_peak_bytes=7e6)), H100
    )
    assert (gpu.peak_memory_mb, gpu.live_tensors_peak_mb, gpu.device_process_peak_mb) == (5, 5, 7)
    assert gpu.pool_peak_mb is None
    cpu = cell(record(memory=readings[1:]), {})
    assert (cpu.peak_memory_mb, cpu.host_peak_mb, cpu.live_tensors_peak_mb) == (9, 9, None)


def test_percentiles_only_where_there_are_enough_queries() -> None:
    row = cell(record(), {})
    assert row.inference_latency is not None
    assert row.inference_latency.p95 is not None
    assert (row.inference_latency.p95.value, row.inference_latency.p95.low) == pytest.approx((1.0, 1.0))
    assert row.inference_latency.p99 is None
    columns = plain(row)
    assert columns["inference_latency_p95_ms"] == pytest.approx(1.0)
    assert columns["inference_latency_p99_ms"] is None
    assert list(columns) == [column.name for column in COLUMNS]


def trained(records: list[Record], problem: Callable[[Record], str] = lambda _record: "") -> list[Comparison]:
    return compare(records, Compare(), problem, [TRAINING])


def arms(seconds: dict[str, list[float]]) -> list[Record]:
    return [record([s] * 30, of=trial(name, block)) for name, found in seconds.items() for block, s in enumerate(found)]


def test_comparisons_are_of_pairs_and_adjusted_by_holm() -> None:
    noise = np.random.default_rng(0).normal(1, 0.003, (3, 8))
    found = trained(arms({"a": list(0.1 * noise[0]), "b": list(0.1 * noise[1]), "c": list(0.12 * noise[2])}))
    assert [(c.a, c.b, c.verdict) for c in found] == [
        ("a", "b", "equivalent"),
        ("a", "c", "faster"),
        ("b", "c", "faster"),
    ]
    for comparison in found:
        assert comparison.ratio is not None
        assert comparison.adjusted_p is not None
        assert comparison.adjusted_p >= comparison.ratio.p  # type: ignore[operator]
        assert comparison.sign_flip_p is not None
    assert "a is faster than c: ratio of speeds 1.199 [" in found[1].describe()


def test_renaming_changes_nothing_and_swapping_inverts() -> None:
    times = {"a": [0.1, 0.11, 0.1], "b": [0.12, 0.13, 0.12]}
    (one,) = trained(arms(times))
    (two,) = trained(arms({"z": times["a"], "b": times["b"]}))
    assert (two.a, two.b) == ("b", "z")
    assert one.ratio is not None
    assert two.ratio is not None
    assert one.ratio.value == pytest.approx(1 / two.ratio.value)
    assert one.ratio.p == pytest.approx(two.ratio.p)


def test_blocks_without_a_partner_do_not_count() -> None:
    (found,) = trained(arms({"a": [0.1, 0.1, 0.1], "b": [0.1, 0.1]}))
    assert found.ratio is not None
    assert found.ratio.blocks == 2


def test_what_is_not_comparable_has_no_ratio() -> None:
    (found,) = compare(
        arms({"a": [0.1], "b": [0.1]}), Compare(), lambda r: "b failed" if r.trial.framework == "b" else ""
    )
    assert (found.verdict, found.reason, found.ratio) == ("not comparable", "b failed", None)
    assert unfinished([found], ExtendUntil()) == []


def test_blocks_are_added_by_width_and_not_by_significance() -> None:
    wide = trained(arms({"a": [0.1, 0.11, 0.1], "b": [0.2, 0.21, 0.2]}))
    assert wide[0].ratio is not None
    assert wide[0].ratio.p < 0.01  # type: ignore[operator]
    assert unfinished(wide, ExtendUntil()) == wide
    narrow = trained(arms({"a": [0.1, 0.1001, 0.1], "b": [0.1, 0.1, 0.1001]}))
    assert unfinished(narrow, ExtendUntil()) == []
    assert unfinished(wide, ExtendUntil(max_blocks=3)) == []
    assert unfinished(trained(arms({"a": [0.1], "b": [0.1]})), ExtendUntil()) != []


def test_turns_pair_up_and_one_go_is_its_median() -> None:
    def block(turns: dict[str, list[list[float]]]) -> float:
        records = [
            record([v for turn in of for v in turn], of=trial(name), turns=[len(turn) for turn in of])
            for name, of in turns.items()
        ]
        (comparison,) = trained(records)
        assert comparison.ratio is not None
        return comparison.ratio.value

    # The machine is slow in the second turn, which has more values of one than of two: medians over all would say 0.5.
    slow = {"one": [[0.1], [0.2, 0.2, 0.2]], "two": [[0.1, 0.1, 0.1], [0.2]]}
    assert block(slow) == pytest.approx(1.0)
    assert block({name: [[v for turn in of for v in turn]] for name, of in slow.items()}) == pytest.approx(0.5)
    assert block({"one": [[0.1, 0.3, 0.1]], "two": [[0.4, 0.2], [0.2]]}) == pytest.approx(2.0)


def test_memory_is_compared_as_a_cost() -> None:
    made = [
        evolve(r, measured=evolve(r.measured, memory=[MemoryReading("host_peak", size)]))
        for r, size in zip(arms({"a": [0.1] * 3, "b": [0.1] * 3}), [690, 691, 690, 1000, 1001, 1000], strict=True)
    ]
    (found,) = compare(made, Compare(), metrics=[MEMORY])
    assert (found.verdict, found.primary) == ("faster", False)
    assert found.ratio is not None
    assert found.ratio.value == pytest.approx(1000 / 690, rel=1e-3)  # the middle blocks are one byte off
    assert "a is thriftier with memory than b: ratio 1.449" in found.describe()


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"governor": "powersave"}, "governor"),
        ({"cpu_busy_pct": 60.0}, "load"),
        ({"cpu_busy_pct": 3.0, "load_average": [3.0, 0, 0], "cpu_affinity": [0, 1]}, None),  # what ran before is over
        ({"cgroup_cpu_max": "150000 100000"}, "CPU quota"),
        ({"swap_used_bytes": 10**9}, "swap in use"),
        ({"virtual_machine": "QEMU"}, "virtual machine"),
        ({"gpus": [{"processes": 2}]}, "GPU shared"),
        ({"gpus": [{"mig": True}]}, "MIG"),
        ({"gpus": [{"power_limit_w": 300.0, "power_limit_default_w": 700.0}]}, "power limit"),
        ({"governor": "performance", "cgroup_cpu_max": "max 100000", "gpus": [{"processes": 0, "mig": False}]}, None),
    ],
)
def test_the_machine_raises_flags(facts: dict[str, Any], name: str | None) -> None:
    assert [flag.name for flag in machine_flags(facts, LIMITS)] == ([name] if name else [])


def test_the_facts_of_this_machine() -> None:
    facts = machine_facts()
    assert facts["cpu"]
    assert facts["memory_bytes"] > 10**8
    assert facts["cpu_affinity"]
    assert 0 <= facts["cpu_busy_pct"] <= 100
    assert facts["versions"]["numpy"] == np.__version__
