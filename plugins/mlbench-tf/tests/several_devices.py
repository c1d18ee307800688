"""A program, `python several_devices.py CASE ...`: what two virtual CPU devices compute, a line of JSON for each case.

A program of its own, because TensorFlow makes virtual devices before its runtime starts and never after.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from attrs import evolve

from mlbench_core.architecture import Architecture, Optimizer
from mlbench_core.errors import UnsupportedError
from mlbench_core.hookspecs import Batch
from mlbench_core.models.bert import bert, bert_tiny
from mlbench_core.models.mlp import mlp
from mlbench_core.models.resnet import resnet, resnet18
from mlbench_core.trial import Plan
from mlbench_core.verify.samples import depth_scaled, learnable_batch, scattered_weights
from mlbench_tf import distributed, lowering, plugin, training

STEPS, BATCH = 10, 16
ADAMW = Optimizer(name="adamw", learning_rate=2**-10 * 1.1, weight_decay=0.1)
MODELS = {
    "mlp": mlp((9,), 4, hidden=(16,)),
    "bert-tiny": bert_tiny((16,), 4).without_dropout(),
    "narrow": resnet("narrow", (32, 32, 3), 4, depths=(1, 1, 1, 1), bottleneck=False, width=8),
}


def start(
    architecture: Architecture,
    device: str = "cpu*2",
    precision: str = "fp64",
    execution: str = "graph",
    task: Any = "train",
) -> training.Session:
    plan = Plan(
        device=device,
        precision=precision,
        execution=execution,
        batch_size=BATCH,
        optimizer=architecture.optimizer,
        threads=2,
        seed=0,
        task=task,
    )
    return training.make_session(training.build_model(architecture, plan), scattered_weights(architecture), plan)


def batch_of(architecture: Architecture, seed: int = 0) -> Batch:
    return learnable_batch(architecture, BATCH, seed)


def step(session: training.Session, batch: Batch) -> float:
    loss = plugin.train_step(session, training.place_batch(session, batch))
    return float(training.to_numpy(loss))


def apart(found: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest difference, relative to the largest value of its array."""
    assert set(found) == set(expected)
    return max(float(np.max(np.abs(found[k] - v)) / max(np.max(np.abs(v)), 1e-30)) for k, v in expected.items())


def lock_step(architecture: Architecture, execution: str = "graph") -> dict[str, float]:
    """How far two devices with half of each batch come from one with all of it."""
    two, one = start(architecture, execution=execution), start(architecture, "cpu")
    losses = 0.0
    for number in range(STEPS):
        batch = batch_of(architecture, number)
        expected = step(one, batch)
        losses = max(losses, abs(step(two, batch) - expected) / abs(expected))
    return {"losses": losses, "weights": apart(training.read_weights(two), training.read_weights(one))}


def replicas_apart(session: training.Session) -> float:
    """How far the devices' own weights, and what their optimisers hold, are from each other."""
    held = [distributed.copies(variable) for variable in session.model.network.weights]
    held += [one.values for slot in session.optimizer.slots for one in slot[1:3] if hasattr(one, "values")]
    return max(float(np.max(np.abs(first.numpy() - second.numpy()))) for first, second in held)


def one_overflow() -> dict[str, Any]:
    """Samples of the second half overflow float16: no replica may take the step."""
    session, batch = start(MODELS["mlp"], precision="fp16"), batch_of(MODELS["mlp"])
    step(session, batch)
    before = training.read_weights(session)
    x = batch.x.copy()
    x[-1] = 1e30
    step(session, Batch(x, batch.y))
    skipped = apart(training.read_weights(session), before)
    scale = training.read_knobs(session)["loss_scale"]
    step(session, batch)
    return {
        "skipped": skipped,
        "scale": scale,
        "moved": apart(training.read_weights(session), before),
        "replicas": replicas_apart(session),
    }


def hooks() -> dict[str, Any]:
    """All that is not a step, beside one device."""
    architecture = MODELS["narrow"]
    two, one, batch = start(architecture), start(architecture, "cpu"), batch_of(architecture)
    before = training.read_weights(two)
    pair = [training.gradients(each, training.place_batch(each, batch), None) for each in (two, one)]
    logits = [training.to_numpy(plugin.infer(each, training.place_batch(each, batch))) for each in (two, one)]
    untouched = apart(training.read_weights(two), before)
    step(two, batch)
    with tempfile.TemporaryDirectory() as folder:
        file = training.save(two, Path(folder) / "model")
        trained = training.read_weights(two)
        step(two, batch)
        two = training.load(two, file)
    tracings = training.compilations(two)
    return {
        "gradients": apart(pair[0].parameters, pair[1].parameters),
        "input_gradients": apart({"x": pair[0].inputs}, {"x": pair[1].inputs}),
        "logits": apart({"logits": logits[0]}, {"logits": logits[1]}),
        "untouched": untouched,
        "reload": apart(training.read_weights(two), trained),
        "replicas": replicas_apart(two),
        "tracings": tracings,
        "memory": len(plugin.memory_probe(two)),
        "knobs": training.read_knobs(two),
        "knobs_of_one": training.read_knobs(one),
    }


def seeds() -> dict[str, Any]:
    """Dropout's seeds on each device; how far the logits of equal halves are apart with dropout and without; three steps."""
    architecture = bert("bert", (8,), 4, depth=1, size=64, vocabulary=50, dropout=0.1)
    session = start(architecture)
    network = session.model.network
    found = [
        [copy.numpy().tolist() for copy in distributed.copies(variable)]
        for variable in network.non_trainable_variables
        if variable.name == "seed_generator_state"
    ]
    batch = batch_of(architecture)
    half = batch.x[: BATCH // 2]
    x, _ = training.place_batch(session, Batch(np.concatenate([half, half]), batch.y))
    first, second = distributed.on_each(session.strategy, lambda x: network(x, training=True), "graph")(x)
    still = np.split(training.to_numpy(session.predict(x)), 2)
    losses = [step(session, batch) for _ in range(3)]
    return {
        "seeds": found,
        "training": float(np.max(np.abs(first - second))),
        "evaluation": float(np.max(np.abs(still[0] - still[1]))),
        "losses": losses,
        "replicas": replicas_apart(session),
    }


def refusals() -> dict[str, str]:
    """What is said of what cannot be."""
    session = start(MODELS["mlp"])
    odd = Batch(np.zeros((3, 9), np.float32), np.zeros(3, np.int32))
    tries = {
        "odd batch": lambda: training.place_batch(session, odd),
        "more than at the start": lambda: start(MODELS["mlp"], "cpu*4"),
        "compiled": lambda: start(MODELS["mlp"], execution="compiled"),
        "mps": lambda: start(MODELS["mlp"], "mps"),
    }
    found = {}
    for name, attempt in tries.items():
        try:
            attempt()
            found[name] = "done"
        except UnsupportedError as error:
            found[name] = str(error)
    return found


def unsynchronized() -> dict[str, float]:
    """A planted fault: each device normalises by its own half."""
    right, lowering.BatchNormOverReplicas = lowering.BatchNormOverReplicas, keras.layers.BatchNormalization
    try:
        return lock_step(MODELS["narrow"])
    finally:
        lowering.BatchNormOverReplicas = right


CASES = {
    **{f"lock-step {name}": lambda name=name: lock_step(MODELS[name]) for name in MODELS},
    "lock-step mlp, adamw": lambda: lock_step(evolve(MODELS["mlp"], optimizer=ADAMW)),
    "lock-step mlp, eager": lambda: lock_step(MODELS["mlp"], "eager"),
    "lock-step narrow, eager": lambda: lock_step(MODELS["narrow"], "eager"),
    "unsynchronized": unsynchronized,
    "hooks": hooks,
    "one overflow": one_overflow,
    "seeds": seeds,
    "refusals": refusals,
}
LONG = {"lock-step resnet18": lambda: lock_step(depth_scaled(resnet18((32, 32, 3), 4)))}
"""Runs only if asked for."""


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        print(json.dumps({case: (CASES | LONG)[case]()}), flush=True)
