"""Frameworks that go wrong on demand: each is NumPy's reference, whose training step does what it is named for.

A worker imports the module that the entry point names, `mlbench_faults.NAME`; it is made here, from the function of that name
in `faults`. Inference is fault-free.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np
from attrs import evolve

from mlbench_core.hookspecs import FrameworkInfo, hookimpl
from mlbench_core.reference import plugin
from mlbench_faults.faults import FAULTS, Fault


def _module(fault: Fault) -> ModuleType:
    name = fault.__name__
    module: Any = ModuleType(f"{__name__}.{name}")
    vars(module).update({hook: value for hook, value in vars(plugin).items() if not hook.startswith("__")})
    steps = 0

    @hookimpl
    def framework_info() -> FrameworkInfo:
        return evolve(plugin.framework_info(), name=name.replace("_", "-"))

    @hookimpl
    def train_step(session: Any, batch: Any) -> Any:
        nonlocal steps
        steps += 1
        instead = fault(steps)
        loss = plugin.train_step(session, batch)
        return loss if instead is None else np.float32(instead)

    module.framework_info, module.train_step = framework_info, train_step
    return module


for _fault in FAULTS:
    sys.modules[f"{__name__}.{_fault.__name__}"] = _module(_fault)
