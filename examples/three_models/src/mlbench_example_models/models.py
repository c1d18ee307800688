"""Three architectures of today, without a layer of their own: each runs on every framework."""

from mlbench_core.architecture import (
    Activation,
    Architecture,
    Conv2D,
    Dense,
    Embedding,
    Gated,
    GlobalAveragePool2D,
    Layer,
    LayerNorm,
    LayerScale,
    MeanTokens,
    Optimizer,
    PositionEmbedding,
    Residual,
    RMSNorm,
    SelfAttention,
    Sequential,
    Shape,
    Tokens,
)

RULE = Optimizer(name="adamw", learning_rate=2**-10, weight_decay=2**-5)
PATCH = 4
HIDDEN = 4
"""How many times as wide a block is inside as outside."""


def _mlp(size: int) -> Layer:
    return Sequential({"up": Dense(HIDDEN * size), "gelu": Activation("gelu"), "down": Dense(size)})


def vit(input_shape: Shape, num_classes: int, depth: int = 2, size: int = 48, heads: int = 3) -> Architecture:
    """A small ViT (Dosovitskiy et al., 2021) with the mean over its tokens in place of a class token.

    Images (height, width, channels) with sides of at least 4 pixels.
    """
    patches = Sequential({"project": Conv2D(size, PATCH, stride=PATCH), "tokens": Tokens()})
    length = patches.output_shape(input_shape)[0]
    layers: dict[str, Layer] = {"patches": patches, "positions": PositionEmbedding(length)}
    for place in range(depth):
        attend = Sequential({"norm": LayerNorm(1e-6), "attention": SelfAttention(heads)})
        layers[f"attend{place}"] = Residual(attend)
        layers[f"think{place}"] = Residual(Sequential({"norm": LayerNorm(1e-6), "mlp": _mlp(size)}))
    layers |= {"norm": LayerNorm(1e-6), "mean": MeanTokens(), "head": Dense(num_classes)}
    return Architecture(
        name="vit", root=Sequential(layers), input_shape=input_shape, num_classes=num_classes, optimizer=RULE
    )


def convnext(input_shape: Shape, num_classes: int, depth: int = 2, size: int = 32) -> Architecture:
    """A small ConvNeXt (Liu et al., 2022) of one stage: depthwise 7x7 convolutions, LayerNorm over channels, layer scale.

    Images (height, width, channels) with sides of at least 4 pixels. Layer scale starts at 0.1, the paper's at 1e-6.
    """
    layers: dict[str, Layer] = {"stem": Conv2D(size, PATCH, stride=PATCH), "norm": LayerNorm(1e-6)}
    for place in range(depth):
        body = {
            "depthwise": Conv2D(size, 7, padding=3, groups=size),
            "norm": LayerNorm(1e-6),
            "mlp": _mlp(size),
            "scale": LayerScale(0.1),
        }
        layers[f"block{place}"] = Residual(Sequential(body))
    layers |= {"pool": GlobalAveragePool2D(), "last": LayerNorm(1e-6), "head": Dense(num_classes)}
    return Architecture(
        name="convnext", root=Sequential(layers), input_shape=input_shape, num_classes=num_classes, optimizer=RULE
    )


def gpt(input_shape: Shape, num_classes: int, depth: int = 2, size: int = 48, heads: int = 3) -> Architecture:
    """A small decoder that classifies: causal attention, RMSNorm and a SwiGLU as in Llama, learned positions as in GPT-2.

    Token ids (length,) of BERT's vocabulary.
    """
    layers: dict[str, Layer] = {"token": Embedding(30522, size), "positions": PositionEmbedding(input_shape[0])}
    for place in range(depth):
        attend = Sequential({"norm": RMSNorm(), "attention": SelfAttention(heads, causal=True)})
        inner = Dense(2 * size, use_bias=False)
        swiglu = Gated(inner, Sequential({"dense": inner, "silu": Activation("silu")}))
        think = {"norm": RMSNorm(), "swiglu": swiglu, "down": Dense(size, use_bias=False)}
        layers |= {f"attend{place}": Residual(attend), f"think{place}": Residual(Sequential(think))}
    layers |= {"norm": RMSNorm(), "mean": MeanTokens(), "head": Dense(num_classes)}
    return Architecture(
        name="gpt",
        root=Sequential(layers),
        input_shape=input_shape,
        num_classes=num_classes,
        optimizer=RULE,
        input_kind="tokens",
    )
