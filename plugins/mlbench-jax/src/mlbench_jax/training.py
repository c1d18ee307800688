"""A session: a model's arrays on the device, and the compiled program that they go through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mlbench_core.architecture import Weights
from mlbench_core.errors import PluginError
from mlbench_core.hookspecs import Batch, Gradients
from mlbench_core.trial import Plan
from mlbench_jax import checkpoint, settings
from mlbench_jax.functional import Arrays, Variables, split
from mlbench_jax.layout import layouts
from mlbench_jax.loss import make_loss
from mlbench_jax.lowering import Model
from mlbench_jax.optimizer import make_optimizer
from mlbench_jax.program import State, first_scale, make_program

Placed = tuple[jax.Array, jax.Array]
"""x and labels on the device."""


class Session:
    """A model at work. `state` is replaced by every step; all else stays."""

    def __init__(self, model: Model, weights: Weights, plan: Plan) -> None:
        """Raises UnsupportedError for a plan that cannot be run, PluginError for bindings or weights that do not fit."""
        self.plan, self.architecture = plan, model.architecture
        self.precision, self.placement = settings.apply(plan)
        self.steps_alone = self.placement.steps_alone  # every step asks, and the placement looks at each device
        self.network, self.layouts = split(model), layouts(model)
        self.optimizer = make_optimizer(plan.optimizer, model.architecture)
        self.program = make_program(self.network, self.optimizer, make_loss(plan.loss), self.precision, self.placement)
        self.predict = self.program.predict
        self.state: Any = self._start(self._placed(weights))

    def _placed(self, weights: Weights) -> Arrays:
        """The weights on the device, in the module's layout and the session's type."""
        if set(weights) != set(self.layouts):
            missing, unknown = sorted(set(self.layouts) - set(weights)), sorted(set(weights) - set(self.layouts))
            raise PluginError(
                f"jax: the weights hold other parameters than {self.architecture.name}: "
                f"missing {missing}, unknown {unknown}"
            )
        arrays = {}
        for name, layout in self.layouts.items():
            if weights[name].shape != layout.tree:
                raise PluginError(f"jax: {name} has shape {layout.tree}, its weights have {weights[name].shape}")
            # astype copies: on a CPU the device may take over the host's memory, and a donated buffer is written to.
            arrays[name] = layout.to_native(weights[name].astype(self.precision.dtype))
        placed: Arrays = self.placement.put(arrays)
        return placed

    def _start(self, arrays: Arrays) -> State:
        """The state before the first step: `arrays`, a fresh optimiser, dropout's first keys."""
        params = {name: array for name, array in arrays.items() if self.layouts[name].trainable}
        stats = {name: array for name, array in arrays.items() if not self.layouts[name].trainable}
        others = {**stats, **jax.tree.map(jnp.copy, self.network.rest)}  # the originals must outlive the donated copies
        moments = self.optimizer.init(params) if self.plan.task == "train" else None
        scale = first_scale(self.precision) if self.plan.task == "train" else None
        placed: State = self.placement.put(State(Variables(params, others), moments, scale))
        return placed

    def place(self, batch: Batch) -> Placed:
        """Floats in the type of the parameters, token ids as they are."""
        x = batch.x if self.architecture.input_kind == "tokens" else batch.x.astype(self.precision.dtype, copy=False)
        return self.placement.put_batch(x, batch.y)

    def gradients(self, batch: Placed, cotangent: npt.NDArray[Any] | None) -> Gradients:
        """One forward and backward pass; nothing is donated and nothing kept."""
        if cotangent is not None:
            cotangent = jax.device_put(np.asarray(cotangent, self.precision.dtype), self.placement.split)
        output, loss, by_params, by_x = self.program.backward(self.state.variables, *batch, cotangent)
        return Gradients(
            output=np.asarray(output),
            loss=None if loss is None else float(loss),
            inputs=None if by_x is None else np.asarray(by_x),
            parameters=self._in_tree(by_params),
        )

    def read_weights(self) -> Weights:
        """Copies of all parameters and running statistics."""
        return self._in_tree(self._of_the_tree())

    def _of_the_tree(self) -> Arrays:
        """Parameters and running statistics, without what else the module keeps."""
        variables = self.state.variables
        return {name: array for part in variables for name, array in part.items() if name in self.layouts}

    def _in_tree(self, arrays: Arrays) -> Weights:
        """Host copies in the tree's layout and order."""
        hosted = jax.device_get(arrays)
        return {name: layout.to_tree(hosted[name]) for name, layout in self.layouts.items() if name in hosted}

    def compilations(self) -> int:
        """Entries in the caches of the functions that are timed."""
        return sum(int(function._cache_size()) for function in (self.program.step, self.program.predict))

    def save(self, path: Path) -> Path:
        """Writes a file of parameters and running statistics."""
        return checkpoint.save(self._of_the_tree(), path)

    def load(self, path: Path) -> None:
        """Goes on from a saved file with a fresh optimiser; the program stays compiled."""
        self.state = None  # frees the device's memory before the new arrays need it
        shapes = {name: layout.native for name, layout in self.layouts.items()}
        self.state = self._start(checkpoint.restore(path, shapes, self.precision.dtype, self.placement))

    def close(self) -> None:
        """Frees the arrays and the compiled code."""
        self.state = None
        for compiled in (self.program.step, self.program.predict, self.program.backward):
            compiled.clear_cache()
