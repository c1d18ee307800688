"""mlbench's conformance kit: every layer, models in lock-step with the float64 reference, saving and loading."""

from __future__ import annotations

import pytest
import torch

import mlbench_torch.plugin
from mlbench_core.testing.conformance import FrameworkConformance
from mlbench_core.testing.hook_mutations import HookMutations

# Importing Inductor makes PyTorch warn of a part of itself that it has deprecated.
DEPRECATED = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
# Inductor recommends TF32 where it is off, as fp32 and fp64 want it.
NO_TF32 = pytest.mark.filterwarnings("ignore:TensorFloat32:UserWarning")


@DEPRECATED
class TestConformance(FrameworkConformance):
    plugin = mlbench_torch.plugin


@DEPRECATED
@NO_TF32
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
class TestConformanceOnGpu(FrameworkConformance):
    plugin = mlbench_torch.plugin
    device = "cuda:0"


@DEPRECATED
class TestHookMutations(HookMutations):
    kit = TestConformance
