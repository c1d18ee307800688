"""GPUs through NVML: CUDA_VISIBLE_DEVICES as CUDA reads it, and nothing that NVML cannot do costs more than its answer."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core import Suite
from mlbench_core.executor import Request, Setting
from mlbench_core.executors import local
from mlbench_core.executors.gpu import watched
from mlbench_core.executors.monitor import Monitor
from mlbench_core.machine.gpus import chosen, gpu_facts, visible
from mlbench_core.runner.turns import run_alone

UUIDS = [
    "GPU-8f3a1111-21a4-ab40-4c0f-413c0d6f218d",
    "GPU-8f3b2222-fe21-cfa7-c1c5-cf4071516bfb",
    "GPU-00003333-9f7b-1f53-8df5-2a7f7d4c2a11",
]
FIRST, SECOND, _ = UUIDS
MIG = "MIG-5c89852c-d268-c3f3-1b07-005d5ae1dc3f"


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ("", []),
        ("0", ["0"]),
        ("2,0", ["2", "0"]),
        (" 1 , 2 ", ["1", "2"]),
        ("7", []),
        ("0,7,1", ["0"]),
        ("-1", []),
        ("1,-1,0", ["1"]),
        ("NoDevFiles", []),
        ("none", []),
        ("0,none,1", ["0"]),
        ("1gpu,2nd", ["1", "2"]),
        ("0,0", []),
        ("0,0,-1", []),
        ("2,1,5,2", ["2", "1"]),
        ("0x1", ["0"]),
        ("+1", ["1"]),
        ("- 1", []),
        ("01", ["1"]),
        ("1.5", ["1"]),
        ("0 1", ["0"]),
        ("0,,1", ["0"]),
        ("0,", ["0"]),
        ("\t0", ["0"]),
        ("  ", []),
        ("0," + MIG, ["0"]),
        ("9" * 5000, []),
        ("GPU-8f3a", [UUIDS[0]]),
        ("GPU-0,GPU-8f3b", [UUIDS[2], UUIDS[1]]),
        ("GPU-8f3", []),  # two begin so
        ("GPU-8f3a,GPU-ffff,GPU-0", [UUIDS[0]]),
        ("GPU-8f3a,0", [UUIDS[0]]),
        ("0,GPU-8f3a", ["0"]),
        ("GPU-8f3a,GPU-8f3a1", []),
        ("GPU-", []),
        ("gpu-8f3a", []),
        ("8f3a1111", []),
        ("GPU-8F3A", [FIRST]),
        (FIRST.upper(), [FIRST]),
        ("GPU-8f3a1111-", [FIRST]),
        ("GPU-8f3a111-121a4-", [FIRST]),
        ("GPU--" + FIRST[4:].replace("-", ""), [FIRST]),
        ("GPU-8f3ax," + SECOND, []),
        ("GPU-8f3a ," + SECOND, []),
        (f"{FIRST}x,{SECOND}", [FIRST, SECOND]),
        (f"{FIRST} ,{SECOND}", [FIRST, SECOND]),
        (f"{FIRST}, {SECOND}", [FIRST]),
        (f"{FIRST};{SECOND}", [FIRST]),
        (" " + FIRST, []),
        (MIG, [MIG]),
        (f"{MIG},{MIG}", [MIG]),
        ("MIG-other", []),
        (",0", []),
    ],
)
def test_the_variable_is_read_as_cuda_reads_it(limit: str, left: list[str]) -> None:
    """Each of these, but for MIG devices and a number of 5,000 digits, was seen with two GPUs, driver 580.159.04, CUDA 13.0."""
    assert chosen(limit, UUIDS, lambda uuid: uuid == MIG) == left


@given(st.text(max_size=30), st.integers(0, 4))
def test_any_text_leaves_gpus_that_there_are_once_each(limit: str, count: int) -> None:
    left = chosen(limit, UUIDS[:count])
    assert len(set(left)) == len(left) <= count
    assert all(entry in UUIDS or int(entry) < count for entry in left)


class NVMLError(Exception):
    pass


def fake(monkeypatch: pytest.MonkeyPatch, **changed: Callable[..., Any]) -> None:
    """A driver with two cards; `changed` replaces functions."""

    def gone(*_: object) -> Any:
        raise NVMLError("Not Supported")

    module: Any = ModuleType("pynvml")
    functions: dict[str, Callable[..., Any]] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda n: n,
        "nvmlDeviceGetHandleByUUID": lambda uuid: UUIDS.index(uuid) if uuid in UUIDS else gone(),
        "nvmlDeviceGetUUID": lambda handle: UUIDS[handle],
        "nvmlDeviceGetName": lambda handle: f"Card {handle}",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=100, used=10),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=50),
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [SimpleNamespace(pid=os.getpid(), usedGpuMemory=7)],
        "nvmlDeviceGetClockInfo": lambda handle, kind: 1500,
        "nvmlDeviceGetPowerUsage": lambda handle: 200_000,
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: int(1e6 * time.monotonic()),
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda handle: 0,
        "nvmlGpmQueryDeviceSupport": gone,
    }
    for name, function in (functions | changed).items():
        setattr(module, name, function)
    module.NVMLError, module.NVML_CLOCK_SM = NVMLError, 1
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def refuse(*_: object) -> Any:
    raise NVMLError("Not Supported")


def damaged(*_: object) -> Any:
    raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_what_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    assert visible() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f3b")
    assert visible() == [UUIDS[1]]
    assert [facts["name"] for facts in gpu_facts()] == ["Card 1"]


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlDeviceGetCount"])
@pytest.mark.parametrize("error", [refuse, damaged])
@pytest.mark.parametrize("limit", [None, "0", "GPU-8f3a", "NoDevFiles"])
def test_without_a_driver_there_are_none(
    function: str, error: Callable[..., Any], limit: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, **{function: error})
    if limit is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", limit)
    assert visible() == []
    assert gpu_facts() == []


def test_a_card_that_cannot_be_read_has_a_name_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, nvmlDeviceGetName=damaged, nvmlDeviceGetMemoryInfo=refuse)
    assert [facts["name"] for facts in gpu_facts()] == ["unknown GPU 0", "unknown GPU 1"]
    assert "memory_bytes" not in gpu_facts()[0]


COUNTERS = (
    "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetClockInfo", "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetCurrentClocksThrottleReasons",
)  # fmt: skip


def watch() -> Any:
    monitor = Monitor(os.getpid(), "0")
    monitor.start()
    monitor.phase = "measure"
    time.sleep(0.35)  # three samples
    return monitor.stop(1.0)


def test_the_monitor_reads_every_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch)
    seen = watch()
    assert (seen.device_peak_bytes, seen.gpu_utilization_pct) == (7, 50)
    assert {"sm_clock_mhz", "power_w", "energy_j", "thermal_slowdown", "power_cap"} <= set(seen.gpu)
    assert len(seen.timeline.device_bytes) == len(seen.timeline.seconds) > 0


@pytest.mark.parametrize("counter", COUNTERS)
def test_a_counter_that_the_card_lacks_is_missing_by_itself(counter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, **{counter: refuse})
    seen = watch()
    assert seen.host_average_bytes > 0
    assert len(seen.timeline.seconds) > 0
    present = {
        "nvmlDeviceGetUtilizationRates": seen.gpu_utilization_pct,
        "nvmlDeviceGetClockInfo": seen.gpu.get("sm_clock_mhz"),
        "nvmlDeviceGetPowerUsage": seen.gpu.get("power_w"),
        "nvmlDeviceGetTotalEnergyConsumption": seen.gpu.get("energy_j"),
        "nvmlDeviceGetCurrentClocksThrottleReasons": seen.gpu.get("power_cap"),
    }
    assert {name for name, value in present.items() if value is None} == {counter} & set(present)


def test_a_card_that_is_lost_costs_the_worker_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, nvmlDeviceGetHandleByIndex=refuse)
    with watched("0", os.getpid()) as gpu:
        assert gpu is None
    seen = watch()
    assert (seen.device_peak_bytes, seen.gpu) == (None, {})
    assert seen.host_average_bytes > 0


def test_a_gpu_that_is_gone_since_the_run_began_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, nvmlDeviceGetCount=lambda: 1)
    request = Request(kind="inspect", job={}, device="cuda:1", threads=1)
    outcome = run_alone(local.run(request, Setting(python=sys.executable, time_limit_s=10, log=tmp_path / "log")))
    assert outcome.status == "failed"
    assert (
        outcome.reason
        == "cuda:1 can no longer be seen: nvidia-smi should list it, and CUDA_VISIBLE_DEVICES must allow it"
    )


@pytest.mark.parametrize("limit", ["GPU-8f3a", "NoDevFiles", "7", "0,-1", "-1"])
def test_no_value_of_the_variable_costs_a_run_on_the_cpu(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", limit)
    for device in ("cpu", "all"):
        suite = Suite(frameworks=["numpy"], models=["mlp"], devices=[device])
        assert [trial.device for trial in suite.trials] == ["cpu", "cpu"]  # none on cuda:0


def test_memory_that_others_give_back_is_never_a_negative_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier worker's memory may still be on its way back when this one starts; a file with less than nothing in it would
    be refused when it is read."""
    used = iter([50, *[10] * 100])
    fake(
        monkeypatch,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=100, used=next(used)),
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [],
    )
    with watched("0", os.getpid()) as gpu:
        assert gpu is not None
        assert gpu.read().memory_bytes == 0


def test_several_gpus_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(
        monkeypatch,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [
            SimpleNamespace(pid=os.getpid(), usedGpuMemory=7 + handle)
        ],
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=50 + 20 * handle),
    )
    with watched("0,1", os.getpid()) as gpus:
        assert gpus is not None
        reading = gpus.read()
        gpus.read_more()
        assert (reading.memory_bytes, reading.busy_pct, gpus.peaks_bytes()) == (15, 60, [7, 8])
        assert gpus.summary()["power_w"] == 400
