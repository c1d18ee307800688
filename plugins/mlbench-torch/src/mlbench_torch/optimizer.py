"""A rule as one of PyTorch's optimisers, and its update: with scaled losses in float16, a fused one if tuned.

A third party's rule needs a `torch.optim.Optimizer` of its own, and a registration, in a module that the optimiser's descriptor
names under `lowerings={"pytorch": ...}`::

    @make_optimizer.register
    def _(rule: Lion, trained: Trained, tuned: bool) -> torch.optim.Optimizer:
        return TorchLion(trained, rule)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch

import torch
from torch import Tensor

from mlbench_core.architecture import Optimizer, Parameter, UpdateRule
from mlbench_core.errors import UnsupportedError
from mlbench_torch.settings import Precision

GROWTH_STEPS = 2000
"""Finite steps after which the loss's scale doubles, and GradScaler's own default; a step that is not finite halves it and
changes nothing else."""
Trained = Sequence[tuple[Parameter, Tensor]]
"""The trainable parameters of a model: the table's entry and the tensor of each."""
Update = Callable[[Tensor], None]
"""Takes the loss: the backward pass, the optimiser's step, and gradients set to nothing again."""


@singledispatch
def make_optimizer(rule: UpdateRule, trained: Trained, tuned: bool) -> torch.optim.Optimizer:
    """What applies `rule` to the tensors, new. tuned: as PyTorch's performance guide says. Raises UnsupportedError for a rule
    without a registration."""
    raise UnsupportedError(
        f"pytorch has no optimiser {type(rule).__name__}: register one with "
        f"@mlbench_torch.optimizer.make_optimizer.register and name its module in OptimizerSource.lowerings['pytorch']"
    )


@make_optimizer.register
def _(rule: Optimizer, trained: Trained, tuned: bool) -> torch.optim.Optimizer:
    """Decay on the parameters that the tree's rule names. foreach and fused are PyTorch's own choice, as for its users; a tuned
    plan's optimiser is fused, as PyTorch's performance tuning guide recommends ("Fuse optimizer step")."""
    decay = [native for parameter, native in trained if rule.decays(parameter)]
    rest = [native for parameter, native in trained if not rule.decays(parameter)]
    both = [{"params": decay, "weight_decay": rule.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    groups = [group for group in both if group["params"]]
    fused = True if tuned else None
    if rule.name == "sgd":
        return torch.optim.SGD(groups, lr=rule.learning_rate, momentum=rule.momentum, fused=fused)
    betas = (rule.beta1, rule.beta2)
    return torch.optim.AdamW(groups, lr=rule.learning_rate, betas=betas, eps=rule.epsilon, fused=fused)


def make_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler | None:
    """The scaler of losses, new; None where losses are not scaled."""
    if precision.loss_scale is None:
        return None
    return torch.amp.GradScaler(device.type, init_scale=precision.loss_scale, growth_interval=GROWTH_STEPS)


def make_update(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None) -> Update:
    """What follows the forward pass in a training step."""

    def plain(loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()

    def scaled(loss: Tensor) -> None:
        assert scaler is not None
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()

    return plain if scaler is None else scaled


def knobs(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None) -> dict[str, str]:
    """The optimiser's settings and the scale of losses, read back."""
    group = optimizer.param_groups[0]
    return {
        "optimizer": type(optimizer).__name__,
        # None: PyTorch's own choice, which is foreach on a GPU.
        "optimizer_foreach": str(group.get("foreach")),
        "optimizer_fused": str(group.get("fused")),
        "loss_scale": "none" if scaler is None else f"{scaler.get_scale():g}, dynamic",
    }
