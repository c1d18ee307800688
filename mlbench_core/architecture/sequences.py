"""The vocabulary's layers of sequences: embeddings of tokens, an image's tokens, attention, one position or the mean of all."""

from __future__ import annotations

from attrs import field, frozen, validators

from mlbench_core.architecture.layer import ZEROS, Initializer, Layer, Normal, Parameter, Shape
from mlbench_core.errors import ArchitectureError

_positive = validators.gt(0)


@frozen
class Embedding(Layer):
    """Looks up token ids, integers in [0, vocabulary): (length,) to (length, features). Table (vocabulary, features)."""

    vocabulary: int = field(validator=_positive)
    features: int = field(validator=_positive)
    init: Initializer = Normal(0.02)

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 1, "(length,)")
        return (*shape, self.features)

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("table", (self.vocabulary, self.features), self.init),)


@frozen
class PositionEmbedding(Layer):
    """Adds row i of a learned table (max_length, features) to position i of a sequence (length, features)."""

    max_length: int = field(validator=_positive)
    init: Initializer = Normal(0.02)

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 2, "(length, features)")
        if shape[0] > self.max_length:
            raise ArchitectureError(f"PositionEmbedding holds {self.max_length} positions, the sequence has {shape[0]}")
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("table", (self.max_length, shape[1]), self.init),)


@frozen
class SegmentEmbedding(Layer):
    """Adds row 0 of a learned table (segments, features) to every position: BERT's token types for single sentences.

    Rows beyond 0 get a gradient of zero; they exist because BERT has them.
    """

    segments: int = field(default=2, validator=_positive)
    init: Initializer = Normal(0.02)

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 2, "(length, features)")
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        return (Parameter("table", (self.segments, shape[1]), self.init),)


@frozen
class Tokens(Layer):
    """An image's pixels as a sequence, row by row: (height, width, channels) to (height * width, channels).

    After a convolution with a stride of its kernel's size, a ViT's patch embedding.
    """

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 3, "(height, width, channels)")
        return (shape[0] * shape[1], shape[2])


@frozen
class SelfAttention(Layer):
    """Multi-head scaled dot-product self-attention, scale 1/sqrt(features / heads).

    causal: each position attends to itself and to those before it, as a decoder does; else to all.

    Parameters query, key, value and output, each a kernel (features, features) and a bias (features,); head h owns the
    h-th run of features / heads columns.
    """

    heads: int = field(validator=_positive)
    init: Initializer = Normal(0.02)
    causal: bool = False

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 2, "(length, features)")
        if shape[1] % self.heads:
            raise ArchitectureError(f"SelfAttention: {shape[1]} features do not divide into {self.heads} heads")
        return shape

    def parameters(self, shape: Shape) -> tuple[Parameter, ...]:
        size = shape[1]
        return tuple(
            parameter
            for part in ("query", "key", "value", "output")
            for parameter in (
                Parameter(f"{part}.kernel", (size, size), self.init),
                Parameter(f"{part}.bias", (size,), ZEROS),
            )
        )

    def macs(self, shape: Shape) -> int:
        """All length * length products count, as in published figures, though a causal mask makes no use of half of them."""
        length, size = shape
        return 4 * length * size * size + 2 * length * length * size


@frozen
class SelectToken(Layer):
    """One position of a sequence: (length, features) to (features,)."""

    index: int = field(default=0, validator=validators.ge(0))

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 2, "(length, features)")
        if self.index >= shape[0]:
            raise ArchitectureError(f"SelectToken: position {self.index} of a sequence of {shape[0]}")
        return shape[1:]


@frozen
class MeanTokens(Layer):
    """The mean over all positions of a sequence: (length, features) to (features,)."""

    def output_shape(self, shape: Shape) -> Shape:
        self.require_rank(shape, 2, "(length, features)")
        return shape[1:]
