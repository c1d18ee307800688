"""A session: the model on its device, its optimiser, and the loop's two steps."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from attrs import frozen
from torch import Tensor, nn

from mlbench_core.architecture import Weights
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.record import MemoryReading
from mlbench_core.trial import Plan
from mlbench_torch import layout, memory, settings
from mlbench_torch.loss import Function, make_loss
from mlbench_torch.lowering import Model, is_image
from mlbench_torch.optimizer import Update, knobs, make_optimizer, make_scaler, make_update
from mlbench_torch.running import running_variances
from mlbench_torch.settings import Precision

BACKWARD_SCALE = 2.0**10
"""Of single backward passes in float16, whose cotangents may be larger than a loss's: a power of two, so exact."""


@frozen
class Placed:
    """A batch on the device. x: floats, images as (batch, channels, height, width); or token ids, int32. y: int64."""

    x: Tensor
    y: Tensor
    size: int


class Session:
    """One model in training and inference. The optimiser's learning rate is a Python float, so in double precision.

    rank: which of the plan's devices this process has, if several share each batch: see distributed.py. `training_forward` is
    `forward`, or what sums gradients over all of them on the way back.
    """

    def __init__(self, model: Model, initial: Weights, plan: Plan, rank: int = 0) -> None:
        self.plan, self.rank = plan, rank
        settings.apply(plan)
        self.device = settings.device_of(plan, rank)
        on_gpu = self.device.type == "cuda"
        self.copies = torch.cuda.Stream(self.device) if on_gpu else None  # type: ignore[no-untyped-call]
        self.precision = settings.PRECISIONS[plan.precision]
        self.model = layout.place(model, self.device, self.precision.dtype)
        self.module = self.model.module
        layout.write(self.model, initial)
        self.running = running_variances(self.model)
        self.samples = plan.batch_size
        self.trained = [
            (parameter, self.model.bindings[parameter.name].native)
            for parameter in model.architecture.parameters()
            if parameter.trainable
        ]
        self.forward = narrowed(executed(self.module, plan), self.device, self.precision)
        self.training_forward = self.forward
        self.inferring = False
        self.loss = _loss(plan, self.precision)
        self._start_afresh()

    def _start_afresh(self) -> None:
        """A new optimiser, and dropout's generator at the plan's seed.

        None to infer: the first optimiser imports PyTorch's compiler, 800 modules, and a process that holds them infers slower.
        """
        self.optimizer: torch.optim.Optimizer | None = None
        self.scaler: torch.amp.GradScaler | None = None
        self.update: Update | None = None
        if self.plan.task == "train":
            self.optimizer = make_optimizer(self.plan.optimizer, self.trained, self.plan.tuned)
            self.scaler = make_scaler(self.precision, self.device)
            self.update = make_update(self.optimizer, self.scaler)
        torch.manual_seed(self.plan.seed + self.plan.node * self.plan.num_devices + self.rank)

    def place(self, batch: Batch) -> Placed:
        """The batch on the device. On a CPU it shares the arrays' memory where they are writeable and in the right type."""
        x, y = self._to_device(batch.x), self._to_device(batch.y).long()
        if x.is_floating_point():
            x = x.to(self.precision.dtype)
        if is_image(batch.x.shape[1:]):
            x = x.permute(0, 3, 1, 2)  # a view of NHWC is NCHW in channels_last
        return Placed(x, y, len(batch.y))

    def _to_device(self, array: npt.NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))
        if self.device.type == "cpu":
            return tensor
        pinned = tensor.pin_memory()  # a copy from pageable memory would wait for the running steps
        if self.copies is None:
            return pinned.to(self.device, non_blocking=True)
        # On a stream of its own the copy runs beside the steps that are queued, and only what uses it waits for it.
        with torch.cuda.stream(self.copies):
            moved = pinned.to(self.device, non_blocking=True)
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self.copies)
        moved.record_stream(computing)
        return moved

    def train_step(self, batch: Placed) -> Tensor:
        """One update; the loss before it, (), on the device."""
        update = self.update
        assert update is not None, "this session was made to infer"
        if not self.module.training:
            self.module.train()
        if batch.size != self.samples:
            self._settle()
            self.samples = batch.size
        loss = self.loss(self.training_forward(batch.x), batch.y)
        update(loss)
        return loss.detach()

    def infer(self, batch: Placed) -> Tensor:
        """Logits (batch, classes) on the device, in evaluation mode."""
        if self.inferring:
            return self.forward(batch.x)
        self._turn_to_inference()
        with torch.inference_mode():
            return self.forward(batch.x)

    @contextmanager
    def inference_mode(self) -> Iterator[None]:
        """What a loop of `infer` is run in: entering PyTorch's mode takes 1 us, and a small model infers in 30."""
        self._turn_to_inference()
        with torch.inference_mode():
            self.inferring = True
            try:
                yield
            finally:
                self.inferring = False

    def _turn_to_inference(self) -> None:
        if self.module.training:
            self._settle()
            self.module.eval()

    def _settle(self) -> None:
        """Makes the running variances the tree's: see running.py."""
        for variance in self.running:
            variance.settle(self.samples)

    def gradients(self, batch: Placed, cotangent: npt.NDArray[Any] | None) -> Gradients:
        """One pass in training mode, through the same compiled or eager forward as a step's; changes nothing."""
        self.module.train()
        buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        x = batch.x.detach()
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            output = self.forward(x.requires_grad_() if x.is_floating_point() else x)
        output = output.float() if self.precision.autocast else output
        if cotangent is None:
            target = self.loss(output, batch.y)
            upstream = torch.ones_like(target)
        else:
            target, upstream = output, torch.from_numpy(cotangent).to(output)
        sources = [native for _, native in self.trained]
        sources += [x] if x.requires_grad else []
        scale = BACKWARD_SCALE if self.precision.loss_scale else 1.0
        found = torch.autograd.grad(target, sources, upstream * scale, materialize_grads=True)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        return Gradients(
            output=output.detach().cpu().numpy(),
            loss=target.item() if cotangent is None else None,
            inputs=_image_to_tree(found[-1] / scale).cpu().numpy() if x.requires_grad else None,
            parameters={
                parameter.name: layout.to_tree(gradient / scale, parameter, self.model.bindings[parameter.name])
                for (parameter, _), gradient in zip(self.trained, found, strict=False)
            },
        )

    def read_weights(self) -> Weights:
        """Copies of all parameters and running statistics by path."""
        self._settle()
        bindings = self.model.bindings
        table = self.model.architecture.parameters()
        return {p.name: layout.to_tree(bindings[p.name].native, p, bindings[p.name]) for p in table}

    def knobs(self) -> dict[str, str]:
        """Process-wide settings, and those of this session's own model and optimiser."""
        images = [p for p in self.module.parameters() if p.dim() == 4]
        last = all(p.is_contiguous(memory_format=torch.channels_last) for p in images)
        compiled = self.plan.execution == "compiled"
        return settings.read_back(self.plan.execution) | {
            **({"compile_mode": settings.compile_mode(self.plan)} if compiled else {}),
            "parameters": str(self.precision.dtype).removeprefix("torch."),
            "autocast": str(self.precision.autocast).removeprefix("torch."),
            "memory_format": "channels_last" if images and last else "contiguous",
            **({} if self.optimizer is None else knobs(self.optimizer, self.scaler)),
        }

    def compilations(self) -> int:
        """Graphs made so far: Dynamo counts them for the process."""
        if self.plan.execution != "compiled":
            return 0
        from torch._dynamo.utils import counters

        return int(counters["stats"]["unique_graphs"])

    def save(self, path: Path) -> Path:
        """`torch.save` of the state dict."""
        self._settle()
        file = path.with_name(f"{path.name}.pt")
        torch.save(self.module.state_dict(), file)
        return file

    def load(self, path: Path) -> None:
        """Copies into the very tensors that compiled code and bindings hold; by way of the host, to spare the device."""
        self.module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        for variance in self.running:
            variance.begin()
        self._start_afresh()

    def synchronize(self) -> None:
        """Waits for all work queued on the device; a CPU is done when it returns."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def memory(self) -> list[MemoryReading]:
        """The counters of the device's allocator."""
        return memory.readings(self.device)

    def close(self) -> None:
        """Drops the model, the optimiser and compiled code, and gives the device's memory back. Unusable afterwards."""
        device, compiled = self.device, self.plan.execution == "compiled"
        self.__dict__.clear()
        if compiled:
            torch.compiler.reset()
        gc.collect()  # modules and autograd graphs are cyclic
        if device.type == "cuda":
            torch.cuda.empty_cache()


def to_numpy(value: Tensor) -> npt.NDArray[Any]:
    """The value on the host, 16-bit ones as float32."""
    value = value.detach()
    array: npt.NDArray[Any] = (value.float() if value.dtype.itemsize == 2 else value).cpu().numpy()
    return array


def _image_to_tree(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def executed(module: nn.Module, plan: Plan) -> nn.Module:
    """The module as the plan executes it, with the same parameters. What a CUDA graph puts out holds until the next pass."""
    if plan.execution != "compiled":
        return module
    # One graph per batch shape. By default PyTorch answers the second shape with a graph for any, which would then
    # serve the first shape too, and not as fast.
    mode = settings.compile_mode(plan)
    return torch.compile(module, dynamic=False, mode=mode)  # type: ignore[return-value]  # of a module it makes a module


def narrowed(run: Callable[[Tensor], Tensor], device: torch.device, precision: Precision) -> Callable[[Tensor], Tensor]:
    """A forward pass in the types that the precision asks for."""
    if precision.autocast is None:
        return run
    autocast = torch.autocast(device.type, precision.autocast)

    def narrow(x: Tensor) -> Tensor:
        with autocast:
            return run(x)

    return narrow


def _loss(plan: Plan, precision: Precision) -> Function:
    """The plan's loss, of logits in the type of the parameters."""
    loss = make_loss(plan.loss)
    return loss if precision.autocast is None else lambda logits, labels: loss(logits.float(), labels)
