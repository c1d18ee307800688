"""The hooks of the toy framework. Its model is a list of [kernel, bias] with ReLU in between.

The environment variable TOY_FAULT makes the tenth training step go wrong: raise, crash, hang, or nan. TOY_VERSION is the
version that it says it has.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

from mlbench_core.architecture import Activation, Architecture, Dense, Sequential, Weights
from mlbench_core.hookspecs import Batch, FrameworkInfo, hookimpl
from mlbench_core.trial import Plan


@define
class Session:
    names: list[str]
    plan: Plan
    weights: dict[str, Any]
    momentum: dict[str, Any]
    steps: int = field(default=0)


@hookimpl
def framework_info() -> FrameworkInfo:
    return FrameworkInfo(
        name="toy",
        version=os.environ.get("TOY_VERSION", "1.0"),
        devices=("cpu",),
        precisions=("fp32",),
        executions=("eager",),
        default_execution="eager",
    )


@hookimpl
def build_model(architecture: Architecture, plan: Plan) -> list[str] | None:
    root = architecture.root
    assert isinstance(root, Sequential)
    if not all(isinstance(layer, Dense) or layer == Activation("relu") for _, layer in root.layers):
        return None
    return [name for name, layer in root.layers if isinstance(layer, Dense)]


@hookimpl
def make_session(model: list[str], weights: Weights, plan: Plan) -> Session:
    mine = {name: np.array(value, np.float32) for name, value in weights.items()}
    return Session(model, plan, mine, {name: np.zeros_like(value) for name, value in mine.items()})


@hookimpl
def place_batch(batch: Batch) -> tuple[Any, Any]:
    return np.asarray(batch.x), np.asarray(batch.y)


def _forward(session: Session, x: Any) -> list[Any]:
    """The input of every layer, and at the end the logits."""
    inputs = [x]
    for i, name in enumerate(session.names):
        y = inputs[-1] @ session.weights[f"{name}.kernel"] + session.weights[f"{name}.bias"]
        inputs.append(np.maximum(y, 0) if i < len(session.names) - 1 else y)
    return inputs


@hookimpl
def train_step(session: Session, batch: tuple[Any, Any]) -> Any:
    x, y = batch
    session.steps += 1
    if session.steps == 10:
        _go_wrong(os.environ.get("TOY_FAULT", ""))
    inputs = _forward(session, x)
    logits = inputs[-1] - inputs[-1].max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(probabilities[rows, y]).mean()
    dy = probabilities
    dy[rows, y] -= 1
    dy /= len(y)
    gradients = {}
    for i in reversed(range(len(session.names))):
        gradients[f"{session.names[i]}.kernel"] = inputs[i].T @ dy
        gradients[f"{session.names[i]}.bias"] = dy.sum(axis=0)
        dy = (dy @ session.weights[f"{session.names[i]}.kernel"].T) * (inputs[i] > 0)
    rule = session.plan.optimizer
    for name, gradient in gradients.items():
        session.momentum[name] = rule.momentum * session.momentum[name] + gradient
        session.weights[name] -= np.float32(rule.learning_rate) * session.momentum[name]
    return float("nan") if os.environ.get("TOY_FAULT") == "nan" else loss


def _go_wrong(fault: str) -> None:
    if fault == "raise":
        raise RuntimeError("the toy is broken")
    if fault == "crash":
        print("about to crash", file=sys.stderr, flush=True)
        os.abort()
    if fault == "hang":
        time.sleep(3600)


@hookimpl
def infer(session: Session, batch: tuple[Any, Any]) -> Any:
    return _forward(session, batch[0])[-1]


@hookimpl
def synchronize(session: Session, value: Any) -> bool:
    return True


@hookimpl
def to_numpy(value: Any) -> Any:
    return np.asarray(value)


@hookimpl
def read_weights(session: Session) -> Weights:
    return dict(session.weights)


@hookimpl
def save(session: Session, path: Path) -> Path:
    written = path.with_suffix(".npz")
    np.savez(written, **session.weights)
    return written


@hookimpl
def load(session: Session, path: Path) -> Session:
    with np.load(path, allow_pickle=False) as file:
        return make_session(session.names, dict(file), session.plan)


@hookimpl
def close_session(session: Session) -> bool:
    return True
