"""The facts recorded with every run, and the flags that they raise."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from mlbench_core.machine.gpus import gpu_facts
from mlbench_core.record import Flag
from mlbench_core.thresholds import Limits

CPU = Path("/sys/devices/system/cpu")
CGROUP = Path("/sys/fs/cgroup")
SIMD = {"avx512f": "avx512f", "avx2": "avx2", "asimd": "neon"}
"""/proc/cpuinfo's words for vector units, the widest first, and what they are called."""
PACKAGES = ("mlbench-core", "numpy", "scipy", "pandas", "attrs", "cattrs", "pluggy", "psutil", "nvidia-ml-py")
BUSY_S = 0.3


def machine_facts() -> dict[str, Any]:
    """What this machine is and how it is set, as plain data; None for what it does not tell.

    gpus: of `gpus.gpu_facts`. Sizes in bytes, frequencies in MHz. cpu_busy_pct: of all CPUs, during the
    0.3 s that it takes to look; the load average of the last minute would hold against the user what they ran before.
    """
    frequency = psutil.cpu_freq()
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_model(),
        "cpu_simd": _simd(),
        "cpu_count": os.cpu_count(),
        "cpu_physical": psutil.cpu_count(logical=False),
        "cpu_affinity": affinity,
        "cpu_mhz": frequency.current if frequency else None,
        "cpu_mhz_max": (frequency.max or None) if frequency else None,
        "governor": _read(CPU / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
        "smt": _read(CPU / "smt/control"),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_available_bytes": psutil.virtual_memory().available,
        "swap_used_bytes": psutil.swap_memory().used,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "cpu_busy_pct": psutil.cpu_percent(BUSY_S),
        "cgroup_cpu_max": _read(CGROUP / "cpu.max"),
        "cgroup_memory_max": _read(CGROUP / "memory.max"),
        "container": _container(),
        "virtual_machine": _hypervisor(),
        "gpus": gpu_facts(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def machine_flags(found: dict[str, Any], limits: Limits) -> list[Flag]:
    """What in the facts makes timings doubtful, each with what to do about it."""
    flags = []
    governor, busy = found.get("governor"), found.get("cpu_busy_pct") or 0.0
    if governor not in (None, "performance"):
        text = f"the CPU governor is {governor!r}: set it with 'cpupower frequency-set -g performance'"
        flags.append(Flag("governor", "warn", text))
    if busy / 100 > limits.load:
        flags.append(Flag("load", "warn", f"other processes keep {busy:.0f} % of the CPUs busy: stop them"))
    if found.get("virtual_machine"):
        text = f"a virtual machine ({found['virtual_machine']}): others may share its processor; compare in blocks"
        flags.append(Flag("virtual machine", "note", text))
    quota = (found.get("cgroup_cpu_max") or "max").split()[0]
    if quota != "max":
        text = (
            f"the control group limits CPU time (cpu.max {found['cgroup_cpu_max']}): use whole CPUs (cpusets) instead"
        )
        flags.append(Flag("CPU quota", "warn", text))
    if found.get("swap_used_bytes"):
        flags.append(Flag("swap in use", "warn", f"{found['swap_used_bytes'] / 1e6:,.0f} MB: free memory, or swapoff"))
    for number, gpu in enumerate(found.get("gpus") or ()):
        flags += _gpu_flags(number, gpu)
    return flags


def _gpu_flags(number: int, gpu: dict[str, Any]) -> list[Flag]:
    flags = []
    if gpu.get("processes"):
        text = f"{gpu['processes']} processes are on cuda:{number} already (nvidia-smi lists them): wait, or end them"
        flags.append(Flag("GPU shared", "warn", text))
    if gpu.get("mig"):
        flags.append(Flag("MIG", "note", f"cuda:{number} is partitioned (MIG): its data sheet does not apply"))
    limit, default = gpu.get("power_limit_w"), gpu.get("power_limit_default_w")
    if limit and default and limit < default:
        text = f"cuda:{number} is limited to {limit:.0f} W of {default:.0f} W: 'nvidia-smi -pl {default:.0f}'"
        flags.append(Flag("power limit", "warn", text))
    return flags


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _turbo() -> bool | None:
    disabled = _read(CPU / "intel_pstate/no_turbo")
    if disabled is not None:
        return disabled == "0"
    boost = _read(CPU / "cpufreq/boost")
    return None if boost is None else boost == "1"


def _container() -> str | None:
    """The kind of container by the marks that their makers leave; None if there is none of them."""
    marks = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
    if os.environ.get("container"):  # noqa: SIM112  # systemd's own name for it
        return os.environ["container"]  # noqa: SIM112
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    return next((name for mark, name in marks.items() if Path(mark).exists()), None)


def _hypervisor() -> str | None:
    """The hypervisor by the CPU's own flag and the board's vendor; None on bare metal."""
    if "hypervisor" not in _cpu_info("flags").split():
        return None
    return _read(Path("/sys/class/dmi/id/sys_vendor")) or "unknown hypervisor"


def _simd() -> str | None:
    """The widest vectors that the CPU says it has; None if it does not say."""
    known = _cpu_info("flags").split() or _cpu_info("Features").split()
    return next((name for mark, name in SIMD.items() if mark in known), None)


def _cpu_model() -> str:
    return _cpu_info("model name") or platform.processor()


def _cpu_info(name: str) -> str:
    lines = (_read(Path("/proc/cpuinfo")) or "").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
