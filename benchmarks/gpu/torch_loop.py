"""PyTorch by hand, as its performance guide says: torchvision's ResNets and Hugging Face's BERT-base, compiled, channels_last,
autocast to bfloat16, fused optimisers, SDPA, gradients set to None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.gpu import common
from benchmarks.handwritten.common import measure


def made(job: common.Job, device: torch.device) -> tuple[torch.nn.Module, torch.optim.Optimizer, list[Any]]:
    """The model in training, its optimiser and batches (x, y)."""
    if job.model == "bert-base":
        from transformers import BertConfig, BertForSequenceClassification

        # mlbench's bert-base drops what layers give out, not attention's probabilities.
        config = BertConfig(num_labels=common.BERT_CLASSES, attention_probs_dropout_prob=0.0)
        model = BertForSequenceClassification(config).to(device)
        shape = (job.batch_size, job.length)
        batches = [
            (torch.randint(common.VOCABULARY, shape, device=device), _labels(job, common.BERT_CLASSES, device))
            for _ in range(common.RING)
        ]
        matrices = [p for p in model.parameters() if p.dim() >= 2]
        others = [p for p in model.parameters() if p.dim() < 2]
        groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        return model.train(), torch.optim.AdamW(groups, lr=2**-12, eps=1e-6, fused=True), batches
    import torchvision

    model = getattr(torchvision.models, job.model)().to(device, memory_format=torch.channels_last)
    height, width, channels = common.IMAGE
    batches = [
        (
            torch.randn(job.batch_size, channels, height, width, device=device).to(memory_format=torch.channels_last),
            _labels(job, common.IMAGE_CLASSES, device),
        )
        for _ in range(common.RING)
    ]
    return model.train(), torch.optim.SGD(model.parameters(), lr=2**-9, momentum=0.9, fused=True), batches


def _labels(job: common.Job, classes: int, device: torch.device) -> torch.Tensor:
    return torch.randint(classes, (job.batch_size,), device=device)


def trainer(job: common.Job, device: torch.device) -> tuple[Callable[[int], None], int]:
    """What trains for so many steps and waits for the last, and the number of parameters."""
    torch.backends.cudnn.benchmark = True
    model, optimizer, batches = made(job, device)
    compiled = torch.compile(model, mode="reduce-overhead")

    def run(steps: int) -> None:
        for i in range(steps):
            x, y = batches[i % len(batches)]
            with torch.autocast("cuda", torch.bfloat16):
                out = compiled(x)
                logits = out.logits if job.model == "bert-base" else out
                loss = F.cross_entropy(logits, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        torch.cuda.synchronize()

    return run, sum(p.numel() for p in model.parameters())


def main() -> None:
    """Does the job."""
    job = common.job()
    measure(job, *trainer(job, torch.device("cuda")))


if __name__ == "__main__":
    main()
