"""PyTorch by hand: eager nn.Modules, images in channels_last, and the training loop of PyTorch's quickstart."""
# ruff: noqa: E402  # the process is prepared before the framework is imported

from __future__ import annotations

from collections.abc import Callable

import common

JOBS = common.prepare()

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

Batches = list[tuple[Tensor, Tensor]]


def mlp(features: int, num_classes: int) -> nn.Module:
    """Two hidden layers of 512. A sequence as it is: a class around it, as in PyTorch's quickstart, infers 5 % slower."""
    return nn.Sequential(
        nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, num_classes)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which projects where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + identity)


class ResNet18(nn.Module):
    """ResNet-18 with the ImageNet stem."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) to logits."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.head(self.avgpool(x).flatten(1))


class SelfAttention(nn.Module):
    """Multi-head attention around PyTorch's fused scaled_dot_product_attention."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, size)."""
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key = self.key(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        value = self.value(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        out = F.scaled_dot_product_attention(query, key, value)
        return self.output(out.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """Attention and feed-forward, each normalised after its residual sum."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(size, heads)
        self.norm1 = nn.LayerNorm(size, eps=1e-12)
        self.up = nn.Linear(size, 4 * size)
        self.down = nn.Linear(4 * size, size)
        self.norm2 = nn.LayerNorm(size, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, length, size)."""
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class BERT(nn.Module):
    """An encoder with token, position and segment embeddings and a pooler on the first token."""

    def __init__(self, vocabulary: int, num_classes: int, depth: int, size: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, size)
        self.positions = nn.Parameter(0.02 * torch.randn(512, size))
        self.segments = nn.Parameter(0.02 * torch.randn(2, size))
        self.norm = nn.LayerNorm(size, eps=1e-12)
        self.blocks = nn.Sequential(*(EncoderBlock(size, heads) for _ in range(depth)))
        self.pooler = nn.Linear(size, size)
        self.head = nn.Linear(size, num_classes)
        nn.init.normal_(self.tokens.weight, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=size**-0.5)
                nn.init.zeros_(module.bias)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids (batch, length) to logits; every token is in segment 0."""
        x = self.tokens(ids) + self.positions[: ids.shape[1]] + self.segments[0]
        x = self.blocks(self.norm(x))
        return self.head(torch.tanh(self.pooler(x[:, 0])))


def build(job: common.Job) -> nn.Module:
    """The job's model."""
    if job.model == "mlp":
        return mlp(job.input_shape[0], job.num_classes)
    if job.model == "resnet18":
        return ResNet18(job.input_shape[-1], job.num_classes).to(memory_format=torch.channels_last)
    assert job.vocabulary is not None
    return BERT(job.vocabulary, job.num_classes, depth=4, size=256, heads=4)


def place(job: common.Job) -> Batches:
    """Tensors. A permuted view of (height, width, channels) data is an image in channels_last."""
    placed = [(torch.from_numpy(x), torch.from_numpy(y).long()) for x, y in common.batches(job)]
    if job.model == "resnet18":
        return [(x.permute(0, 3, 1, 2), y) for x, y in placed]
    return placed


def make_optimizer(job: common.Job, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum; for BERT, AdamW that decays matrices and tables, not biases and normalisations."""
    rate = common.LEARNING_RATE[job.model]
    if job.model != "bert-mini":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.01},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.999), eps=1e-6)


def train(job: common.Job, model: nn.Module, batches: Batches) -> Callable[[int], None]:
    """Steps of training. A CPU is done when a step returns, so nothing waits at the end."""
    model.train()
    optimizer = make_optimizer(job, model)

    def run(steps: int) -> None:
        for i in range(steps):
            x, y = batches[i % len(batches)]
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return run


def infer(model: nn.Module, batches: Batches) -> Callable[[int], None]:
    """Steps of inference."""
    model.eval()

    def run(steps: int) -> None:
        with torch.inference_mode():
            for i in range(steps):
                x, _ = batches[i % len(batches)]
                model(x)

    return run


def main() -> None:
    """Does the jobs one after another."""
    torch.set_num_threads(JOBS[0].threads)
    torch.set_flush_denormal(True)  # as TensorFlow and JAX do without being asked
    for job in JOBS:
        torch.manual_seed(0)
        model, batches = build(job), place(job)
        run = train(job, model, batches) if job.task == "train" else infer(model, batches)
        common.measure(job, run, sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    main()
