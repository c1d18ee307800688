"""JAX by hand: Flax NNX modules that compute in bfloat16, a jitted step that takes plain arrays and donates its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.gpu import common
from benchmarks.handwritten.common import measure

HALF = jnp.bfloat16
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}


def conv(inputs: int, outputs: int, kernel: int, stride: int, rngs: nnx.Rngs) -> nnx.Conv:
    """A convolution without bias, padded by half the kernel on each side."""
    size = (kernel, kernel)
    return nnx.Conv(inputs, outputs, size, stride, padding=kernel // 2, use_bias=False, dtype=HALF, rngs=rngs)


def norm(features: int, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """A batch normalisation; its statistics are float32."""
    return nnx.BatchNorm(features, momentum=0.9, epsilon=1e-5, dtype=HALF, rngs=rngs)


class Block(nnx.Module):
    """A basic block of ResNet-18 or, if `wide`, a bottleneck of ResNet-50."""

    def __init__(self, inputs: int, features: int, stride: int, wide: bool, rngs: nnx.Rngs) -> None:
        outputs = 4 * features if wide else features
        kernels = [(1, 1), (3, stride), (1, 1)] if wide else [(3, stride), (3, 1)]
        sizes = [inputs, *[features] * (len(kernels) - 1), outputs]
        self.convs = nnx.List([conv(a, b, k, s, rngs) for a, b, (k, s) in zip(sizes, sizes[1:], kernels, strict=False)])
        self.norms = nnx.List([norm(size, rngs) for size in sizes[1:]])
        self.projects = stride != 1 or inputs != outputs
        if self.projects:
            self.shortcut = nnx.Sequential(conv(inputs, outputs, 1, stride, rngs), norm(outputs, rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels)."""
        out = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            out = norm(conv(out))
            if i < len(self.convs) - 1:
                out = nnx.relu(out)
        return nnx.relu(out + (self.shortcut(x) if self.projects else x))


class ResNet(nnx.Module):
    """ResNet-18 or ResNet-50 with the ImageNet stem."""

    def __init__(self, name: str, rngs: nnx.Rngs) -> None:
        wide, inputs, blocks = name == "resnet50", 64, []
        for stage, depth in enumerate(DEPTHS[name]):
            features = 64 * 2**stage
            for i in range(depth):
                blocks.append(Block(inputs, features, 2 if stage and not i else 1, wide, rngs))
                inputs = 4 * features if wide else features
        self.conv, self.norm, self.blocks = conv(3, 64, 7, 2, rngs), norm(64, rngs), nnx.Sequential(*blocks)
        self.head = nnx.Linear(inputs, common.IMAGE_CLASSES, dtype=HALF, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, height, width, channels) to logits."""
        x = nnx.relu(self.norm(self.conv(x.astype(HALF))))
        x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        return self.head(self.blocks(x).mean(axis=(1, 2)))


def linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A projection of BERT-base."""
    return nnx.Linear(inputs, outputs, kernel_init=nnx.initializers.normal(768**-0.5), dtype=HALF, rngs=rngs)


class EncoderBlock(nnx.Module):
    """Attention and feed-forward, each dropped out and normalised with its residual."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.query, self.key, self.value, self.output = (linear(768, 768, rngs) for _ in range(4))
        self.up, self.down = linear(768, 3072, rngs), linear(3072, 768, rngs)
        self.norm1, self.norm2 = (nnx.LayerNorm(768, epsilon=1e-12, dtype=HALF, rngs=rngs) for _ in range(2))
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """(batch, length, 768)."""
        split = (*x.shape[:2], 12, 64)
        parts = (layer(x).reshape(split) for layer in (self.query, self.key, self.value))
        out = self.output(jax.nn.dot_product_attention(*parts, implementation="cudnn").reshape(x.shape))
        x = self.norm1(x + self.dropout(out))
        return self.norm2(x + self.dropout(self.down(nnx.gelu(self.up(x), approximate=False))))


class BERT(nnx.Module):
    """BERT-base with a pooler on the first token."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.tokens = nnx.Embed(common.VOCABULARY, 768, dtype=HALF, rngs=rngs)
        self.positions = nnx.Param(0.02 * jax.random.normal(rngs.params(), (512, 768)))
        self.segments = nnx.Param(0.02 * jax.random.normal(rngs.params(), (2, 768)))
        self.norm = nnx.LayerNorm(768, epsilon=1e-12, dtype=HALF, rngs=rngs)
        self.blocks = nnx.Sequential(*(EncoderBlock(rngs) for _ in range(12)))
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.pooler, self.head = linear(768, 768, rngs), linear(768, common.BERT_CLASSES, rngs)

    def __call__(self, ids: jax.Array) -> jax.Array:
        """Token ids (batch, length) to logits; every token is in segment 0."""
        x = self.tokens(ids) + self.positions[: ids.shape[1]].astype(HALF) + self.segments[0].astype(HALF)
        x = self.blocks(self.dropout(self.norm(x)))
        return self.head(self.dropout(jnp.tanh(self.pooler(x[:, 0]))))


def train(job: common.Job, model: nnx.Module, batches: list[Any]) -> Callable[[int], None]:
    """Steps of training."""
    model.train()
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    if job.model == "bert-base":

        def decays(params: Any) -> Any:
            return jax.tree.map(lambda value: value.ndim >= 2, params)

        optimizer = optax.adamw(2**-12, eps=1e-6, weight_decay=0.01, mask=decays)
    else:
        optimizer = optax.sgd(2**-9, momentum=0.9)
    state = (params, rest, optimizer.init(params))

    def train_step(state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, jax.Array]:
        params, rest, moments = state

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            model = nnx.merge(graph, params, rest)
            logits = model(x).astype(jnp.float32)
            loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
            return loss, nnx.to_pure_dict(nnx.split(model, nnx.Param, ...)[2])

        (loss, rest), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, updates), rest, moments), loss

    step = jax.jit(train_step, donate_argnums=0)

    def run(steps: int) -> None:
        nonlocal state
        loss = None
        for i in range(steps):
            state, loss = step(state, *batches[i % len(batches)])
        jax.block_until_ready((loss, state))

    return run


def main() -> None:
    """Does the job."""
    job, rngs = common.job(), nnx.Rngs(0)
    bert = job.model == "bert-base"
    model = BERT(rngs) if bert else ResNet(job.model, rngs)
    classes = common.BERT_CLASSES if bert else common.IMAGE_CLASSES
    keys = iter(jax.random.split(jax.random.key(1), 2 * common.RING))
    batches = [
        (
            jax.random.randint(next(keys), (job.batch_size, job.length), 0, common.VOCABULARY)
            if bert
            else jax.random.normal(next(keys), (job.batch_size, *common.IMAGE)),
            jax.random.randint(next(keys), (job.batch_size,), 0, classes),
        )
        for _ in range(common.RING)
    ]
    measure(job, train(job, model, batches), sum(p.size for p in jax.tree.leaves(nnx.state(model, nnx.Param))))


if __name__ == "__main__":
    main()
