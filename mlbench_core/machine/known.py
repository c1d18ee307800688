"""The facts that a machine may tell, with their types: what a results file holds under `machines`.

None, or no key, for what it does not tell. Executors of others may add facts; these types bind only the names below.
"""

from __future__ import annotations

from typing import TypedDict


class GpuFacts(TypedDict, total=False):
    """A GPU, as NVML tells of it. Sizes in bytes, clocks in MHz, power in W."""

    name: str
    uuid: str
    memory_bytes: int
    memory_used_bytes: int
    processes: int
    driver: str
    cuda_driver: float
    sm_clock_max_mhz: float
    memory_clock_max_mhz: float
    power_limit_w: float
    power_limit_default_w: float
    ecc: bool
    mig: bool
    persistence: bool


class MachineFacts(TypedDict, total=False):
    """A machine before the run put it to work. Sizes in bytes, frequencies in MHz, load as in `facts.machine_facts`."""

    system: str | None
    python: str | None
    cpu: str | None
    cpu_simd: str | None
    cpu_count: int | None
    cpu_physical: int | None
    cpu_affinity: list[int] | None
    cpu_mhz: float | None
    cpu_mhz_max: float | None
    governor: str | None
    turbo: bool | None
    smt: str | None
    memory_bytes: int | None
    memory_available_bytes: int | None
    swap_used_bytes: int | None
    load_average: list[float] | None
    cpu_busy_pct: float | None
    cgroup_cpu_max: str | None
    cgroup_memory_max: str | None
    container: str | None
    virtual_machine: str | None
    gpus: list[GpuFacts]
    versions: dict[str, str | None]
