"""JAX by hand: Flax NNX modules in the functional training loop of Flax's guide on performance, and optax.

The module is split once, and merged again only while a step is traced. Steps take and return plain dicts of arrays, which JAX
takes apart faster than Flax's own State.
"""
# ruff: noqa: E402  # the process is prepared before the framework is imported

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common

JOBS = common.prepare(JAX_PLATFORMS="cpu", JAX_ENABLE_COMPILATION_CACHE="false")

import jax
import jax.numpy as jnp
import optax
from flax import nnx

Batches = list[tuple[jax.Array, jax.Array]]


class MLP(nnx.Module):
    """Two hidden layers of 512."""

    def __init__(self, features: int, num_classes: int, rngs: nnx.Rngs) -> None:
        self.dense1 = nnx.Linear(features, 512, rngs=rngs)
        self.dense2 = nnx.Linear(512, 512, rngs=rngs)
        self.head = nnx.Linear(512, num_classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, features) to logits."""
        return self.head(nnx.relu(self.dense2(nnx.relu(self.dense1(x)))))


def conv(inputs: int, outputs: int, kernel: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv:
    """A convolution without bias, padded by half the kernel on each side."""
    return nnx.Conv(inputs, outputs, (kernel, kernel), stride, padding=kernel // 2, use_bias=False, rngs=rngs)


def norm(features: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """A batch normalisation."""
    return nnx.BatchNorm(features, momentum=0.9, epsilon=1e-5, rngs=rngs)


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions beside a shortcut, which projects where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv1 = conv(inputs, outputs, 3, stride, rngs)
        self.bn1 = norm(outputs, rngs)
        self.conv2 = conv(outputs, outputs, 3, 1, rngs)
        self.bn2 = norm(outputs, rngs)
        self.projects = stride != 1 or inputs != outputs
        if self.projects:
            self.shortcut = nnx.Sequential(conv(inputs, outputs, 1, stride, rngs), norm(outputs, rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels)."""
        out = nnx.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return nnx.relu(out + (self.shortcut(x) if self.projects else x))


class ResNet18(nnx.Module):
    """ResNet-18 with the ImageNet stem."""

    def __init__(self, channels: int, num_classes: int, rngs: nnx.Rngs) -> None:
        self.conv1 = conv(channels, 64, 7, 2, rngs)
        self.bn1 = norm(64, rngs)
        self.layer1 = nnx.Sequential(BasicBlock(64, 64, 1, rngs), BasicBlock(64, 64, 1, rngs))
        self.layer2 = nnx.Sequential(BasicBlock(64, 128, 2, rngs), BasicBlock(128, 128, 1, rngs))
        self.layer3 = nnx.Sequential(BasicBlock(128, 256, 2, rngs), BasicBlock(256, 256, 1, rngs))
        self.layer4 = nnx.Sequential(BasicBlock(256, 512, 2, rngs), BasicBlock(512, 512, 1, rngs))
        self.head = nnx.Linear(512, num_classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) to logits."""
        x = nnx.relu(self.bn1(self.conv1(x)))
        x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.head(x.mean(axis=(1, 2)))


def linear(inputs: int, outputs: int, size: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A projection in a BERT of that size, with the weights of the comparison: they decide how long a GELU takes."""
    return nnx.Linear(inputs, outputs, kernel_init=nnx.initializers.normal(size**-0.5), rngs=rngs)


class SelfAttention(nnx.Module):
    """Multi-head attention around JAX's own dot_product_attention."""

    def __init__(self, size: int, heads: int, rngs: nnx.Rngs) -> None:
        self.heads = heads
        self.query = linear(size, size, size, rngs)
        self.key = linear(size, size, size, rngs)
        self.value = linear(size, size, size, rngs)
        self.output = linear(size, size, size, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, size)."""
        batch, length, size = x.shape
        split = (batch, length, self.heads, size // self.heads)
        query, key, value = self.query(x), self.key(x), self.value(x)
        out = jax.nn.dot_product_attention(query.reshape(split), key.reshape(split), value.reshape(split))
        return self.output(out.reshape(x.shape))


class EncoderBlock(nnx.Module):
    """Attention and feed-forward, each normalised after its residual sum."""

    def __init__(self, size: int, heads: int, rngs: nnx.Rngs) -> None:
        self.attention = SelfAttention(size, heads, rngs)
        self.norm1 = nnx.LayerNorm(size, epsilon=1e-12, rngs=rngs)
        self.up = linear(size, 4 * size, size, rngs)
        self.down = linear(4 * size, size, size, rngs)
        self.norm2 = nnx.LayerNorm(size, epsilon=1e-12, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, size)."""
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.down(nnx.gelu(self.up(x), approximate=False)))


class BERT(nnx.Module):
    """An encoder with token, position and segment embeddings and a pooler on the first token."""

    def __init__(self, vocabulary: int, num_classes: int, depth: int, size: int, heads: int, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(vocabulary, size, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (512, size)))
        self.segments = nnx.Param(0.02 * jax.random.normal(rngs.params(), (2, size)))
        self.norm = nnx.LayerNorm(size, epsilon=1e-12, rngs=rngs)
        self.blocks = nnx.Sequential(*(EncoderBlock(size, heads, rngs) for _ in range(depth)))
        self.pooler = linear(size, size, size, rngs)
        self.head = linear(size, num_classes, size, rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Token ids (batch, length) to logits; every token is in segment 0."""
        x = self.tokens(ids) + self.positions[: ids.shape[1]] + self.segments[0]
        x = self.blocks(self.norm(x))
        return self.head(jnp.tanh(self.pooler(x[:, 0])))


def build(job: common.Job) -> nnx.Module:
    """The job's model."""
    rngs = nnx.Rngs(0)
    if job.model == "mlp":
        return MLP(job.input_shape[0], job.num_classes, rngs)
    if job.model == "resnet18":
        return ResNet18(job.input_shape[-1], job.num_classes, rngs)
    assert job.vocabulary is not None
    return BERT(job.vocabulary, job.num_classes, depth=4, size=256, heads=4, rngs=rngs)


def make_optimizer(job: common.Job) -> optax.GradientTransformation:
    """SGD with momentum; for BERT, AdamW that decays matrices and tables, not biases and normalisations."""
    rate = common.LEARNING_RATE[job.model]
    if job.model != "bert-mini":
        return optax.sgd(rate, momentum=0.9)

    def decays(params: Any) -> Any:
        return jax.tree.map(lambda value: value.ndim >= 2, params)

    return optax.adamw(rate, 0.9, 0.999, eps=1e-6, weight_decay=0.01, mask=decays)


def split(model: nnx.Module) -> tuple[nnx.GraphDef[Any], Any, Any]:
    """The module's structure, its parameters and its running statistics, both as plain dicts."""
    graph, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    return graph, nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def train(job: common.Job, model: nnx.Module, batches: Batches) -> Callable[[int], None]:
    """Steps of training."""
    model.train()
    graph, params, stats = split(model)
    optimizer = make_optimizer(job)
    state = (params, stats, optimizer.init(params))

    def train_step(state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
        params, stats, moments = state

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            model = nnx.merge(graph, params, stats)
            loss = optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()
            return loss, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

        (loss, stats), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), stats, moments), loss

    step = jax.jit(train_step, donate_argnums=0)

    def run(steps: int) -> None:
        nonlocal state
        loss = None
        for i in range(steps):
            x, y = batches[i % len(batches)]
            state, loss = step(state, x, y)
        jax.block_until_ready((loss, state))

    return run


def infer(model: nnx.Module, batches: Batches) -> Callable[[int], None]:
    """Steps of inference."""
    model.eval()
    graph, params, stats = split(model)

    @jax.jit
    def predict(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, params, stats)(x)

    def run(steps: int) -> None:
        logits = None
        for i in range(steps):
            x, _ = batches[i % len(batches)]
            logits = predict(params, stats, x)
        jax.block_until_ready(logits)

    return run


def main() -> None:
    """Does the jobs one after another."""
    for job in JOBS:
        model = build(job)
        batches = [jax.device_put(batch) for batch in common.batches(job)]
        run = train(job, model, batches) if job.task == "train" else infer(model, batches)
        common.measure(job, run, sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param))))


if __name__ == "__main__":
    main()
