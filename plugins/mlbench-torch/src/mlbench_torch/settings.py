"""What PyTorch offers on the device at hand, and the process-wide settings a plan asks for: set here and read back here."""

from __future__ import annotations

import contextlib
import os
import shutil
from importlib.metadata import PackageNotFoundError, version

import torch
from attrs import frozen

from mlbench_core.devices import kind_of
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.trial import Plan


@frozen
class Precision:
    """dtype: of parameters, running statistics and optimiser state. autocast: of products and activations, if narrower.

    tf32: None leaves PyTorch's own choice, of denormal numbers too. loss_scale: what the loss is multiplied by at first, and
    gradients divided by after the backward pass; `torch.amp.GradScaler` adapts it. None: neither.
    """

    dtype: torch.dtype
    autocast: torch.dtype | None = None
    tf32: bool | None = False
    loss_scale: float | None = None


PRECISIONS = {
    "fp32": Precision(torch.float32),
    "tf32": Precision(torch.float32, tf32=True),
    "bf16": Precision(torch.float32, torch.bfloat16),
    # A power of two, so that scaling and unscaling are exact; float16 underflows below 6e-8, which gradients reach.
    "fp16": Precision(torch.float32, torch.float16, loss_scale=2.0**15),
    "fp64": Precision(torch.float64),
    "default": Precision(torch.float32, tf32=None),  # as PyTorch comes: products in float32, convolutions in TF32
}

BUCKET_MB = 120
"""Of a tuned plan, whose passes are CUDA graphs. The compiler cuts a model within DistributedDataParallel into a graph for each
bucket of gradients, so that one is summed while the next is computed. PyTorch's own 25 MiB cut BERT-base into 14, and asking
for 28 graphs a step held two H200 at 6,745 samples/s (64 sequences of 128 tokens each, bf16); with 120 they did 7,843 and
7,962."""


def framework_info() -> FrameworkInfo:
    """PyTorch on the GPU if it sees one, else on the CPU."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    lacking = set() if gpus and torch.cuda.get_device_capability() >= (8, 0) else {"tf32"}
    if gpus and not torch.cuda.is_bf16_supported():
        lacking.add("bf16")
    # Inductor builds C++ for the CPU, and Triton a C launcher for the GPU: neither works without a compiler.
    compiler = any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "gcc", "clang"))
    return FrameworkInfo(
        name="pytorch",
        version=torch.__version__,
        devices=("cpu", *(f"cuda:{i}" for i in range(gpus)), *(("mps",) if torch.backends.mps.is_available() else ())),
        precisions=tuple(name for name in PRECISIONS if name not in lacking),
        executions=("eager", "compiled") if compiler else ("eager",),
        default_execution="eager",
        data_parallel=("cpu", "cuda") if torch.distributed.is_available() else (),
        across_nodes=("cpu", "cuda") if torch.distributed.is_available() else (),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    cudnn = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None  # type: ignore[no-untyped-call]
    found = {"cuda": torch.version.cuda, "cudnn": cudnn}
    with contextlib.suppress(PackageNotFoundError):
        found["triton"] = version("triton")
    return {name: str(value) for name, value in found.items() if value is not None}


def apply(plan: Plan) -> torch.device:
    """Sets what the plan asks for, for the whole process; returns the device.

    Raises UnsupportedError for a device, precision or execution that is not there.
    """
    info, advice = framework_info(), "install a CUDA build of PyTorch (https://pytorch.org/get-started)"
    problem = info.refusal(plan.precision, plan.execution) or info.device_refusal(plan, advice)
    if problem:
        raise UnsupportedError(problem)
    # Several devices share the CPU's threads: each has a process of its own.
    torch.set_num_threads(max(1, plan.threads // plan.num_devices) if not plan.accelerated else plan.threads)
    tf32 = PRECISIONS[plan.precision].tf32
    # Two switches with different defaults (products off, convolutions on); both set, so that fp32 means float32.
    if tf32 is not None:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
    # TensorFlow and XLA take a denormal number for zero on a CPU, PyTorch only if it is told to. Left as it comes, the momentum
    # of units that are never active again decays into denormals, from 750 steps on: an MLP's step took 1.3 times as long then,
    # so its speed would depend on how long it had been measured. Threads inherit the setting when PyTorch starts them.
    torch.set_flush_denormal(tf32 is not None)
    torch.backends.cudnn.benchmark = True
    return device_of(plan, 0)


def device_of(plan: Plan, rank: int) -> torch.device:
    """The device of one of the processes that share a plan's batches."""
    kind = kind_of(plan.device)
    return torch.device(kind, rank) if kind == "cuda" else torch.device(kind)


def compile_mode(plan: Plan) -> str:
    """The mode to ask torch.compile for. A tuned plan's passes are recorded on a GPU as CUDA graphs, as PyTorch's performance
    tuning guide recommends ("Use CUDA Graphs")."""
    return "reduce-overhead" if plan.tuned and kind_of(plan.device) == "cuda" else "default"


def bucket_mb(plan: Plan) -> int | None:
    """How many MiB of gradients DistributedDataParallel sums at once; None for its own 25."""
    graphs = plan.execution == "compiled" and compile_mode(plan) == "reduce-overhead"
    return BUCKET_MB if graphs else None


def read_back(execution: str) -> dict[str, str]:
    """The process-wide settings as PyTorch holds them now."""
    compiled = {}
    if execution == "compiled":
        from torch._inductor import config  # only here: an eager run has no need to import the compiler

        compiled["compile_caches_disabled"] = str(config.force_disable_caches)
    return {
        "execution": execution,
        **compiled,
        "threads": str(torch.get_num_threads()),
        "flush_denormal": str(_flushes_denormals()),
        "tf32_matmul": str(torch.backends.cuda.matmul.allow_tf32),
        "tf32_convolution": str(torch.backends.cudnn.allow_tf32),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
        "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()),
    }


def _flushes_denormals() -> bool:
    """Whether every thread takes denormal numbers for zero: PyTorch does not tell, so all of them try one."""
    share = 1 << 16  # elements for each thread; PyTorch hands them out in portions of half as many
    halves = torch.full((share * torch.get_num_threads(),), torch.finfo(torch.float32).tiny) / 2
    return not halves.view(torch.int32).any().item()  # as integers: this thread may flush where another one did not
