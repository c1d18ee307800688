"""DistributedDataParallel by hand: torchvision's ResNet-50 and Hugging Face's BERT-base on one GPU and on all, in blocks.

`python -m benchmarks.gpu.ddp_by_hand --blocks 3` prints samples/s and scaling efficiency per model, with its interval: what a
run of mlbench's `gpu_scaling` is held against. It needs torchvision, transformers and two GPUs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from typing import Any

BATCH = {"resnet50": 256, "bert-base": 64}
LENGTH = 128
WARMUP_S, MEASURE_S, CHUNK = 3.0, 4.0, 10


def worker(rank: int, size: int, model: str, rendezvous: str, options: argparse.Namespace) -> None:
    """One rank: trains on random data and, at rank 0, prints samples/s over the group as JSON."""
    import torch
    import torch.distributed as dist
    import torch.nn.functional as F  # noqa: N812

    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", init_method=f"file://{rendezvous}", rank=rank, world_size=size, device_id=device)
    net, x, y = made(model, device)
    if options.sync_batch_norm:
        net = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)
    optimizer: Any
    if model == "resnet50":
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, fused=True)
    else:
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-5, weight_decay=0.01, fused=True)
    if size > 1:
        net = torch.nn.parallel.DistributedDataParallel(
            net, [rank], broadcast_buffers=False, gradient_as_bucket_view=True
        )
    run = torch.compile(net, mode="reduce-overhead") if options.compiled else net

    def steps(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            with torch.autocast("cuda", torch.bfloat16):
                out = run(x)
            logits = out if model == "resnet50" else out.logits
            F.cross_entropy(logits.float(), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        torch.cuda.synchronize()
        dist.barrier()
        return time.perf_counter() - start

    # The ranks take the same number of steps: counted out by rank 0.
    steps(3)  # compiles, and lets cuDNN search
    each = torch.tensor([steps(CHUNK) / CHUNK], device=device)
    dist.broadcast(each, 0)
    steps(max(CHUNK, int(WARMUP_S / each.item())))
    count = max(CHUNK, int(MEASURE_S / each.item()))
    seconds = steps(count)
    if rank == 0:
        print(json.dumps({"samples_per_second": count * BATCH[model] * size / seconds}), flush=True)
    torch.compiler.reset()  # NCCL waits for CUDA graphs that hold its sums
    dist.destroy_process_group()


def made(model: str, device: Any) -> tuple[Any, Any, Any]:
    """The model in training, and one batch."""
    import torch

    if model == "resnet50":
        import torchvision

        net = torchvision.models.resnet50().to(device, memory_format=torch.channels_last)
        x = torch.randn(BATCH[model], 3, 224, 224, device=device).to(memory_format=torch.channels_last)
        return net.train(), x, torch.randint(1000, (BATCH[model],), device=device)
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(num_labels=10, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    net = BertForSequenceClassification(config).to(device)
    x = torch.randint(30522, (BATCH[model], LENGTH), device=device)
    return net.train(), x, torch.randint(10, (BATCH[model],), device=device)


def once(model: str, size: int, arguments: list[str]) -> float:
    """Samples/s of one group of fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "benchmarks.gpu.ddp_by_hand",
            *arguments,
            "--size",
            str(size),
            "--model",
            model,
        ]
        command += ["--rendezvous", f"{folder}/rendezvous"]
        ranks = [
            subprocess.Popen(
                [*command, "--rank", str(rank)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for rank in range(size)
        ]
        texts = [process.communicate()[0] for process in ranks]
    return float(json.loads(texts[0].strip().splitlines()[-1])["samples_per_second"])


def main() -> None:
    """Blocks of one GPU and all, in random order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=list(BATCH))
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--sync-batch-norm", action="store_true")
    for name, kind in (("rank", int), ("size", int), ("model", str), ("rendezvous", str)):
        parser.add_argument(f"--{name}", type=kind)
    options = parser.parse_args()
    if options.rank is not None:
        worker(options.rank, options.size, options.model, options.rendezvous, options)
        os._exit(0)
    from mlbench_core.stats.ratio import ratio

    arguments = [word for word in ("--compiled", "--sync-batch-norm") if word in sys.argv]
    for model in options.models:
        found: dict[int, list[float]] = {1: [], options.gpus: []}
        for block in range(options.blocks):
            for size in random.Random(block).sample(sorted(found), 2):
                found[size].append(once(model, size, arguments))
        logs = [math.log(many / (options.gpus * one)) for one, many in zip(*found.values(), strict=True)]
        efficiency = ratio(logs, 0.95)
        shown = {size: [round(value) for value in values] for size, values in found.items()}
        print(
            f"{model}: {shown} samples/s; efficiency {efficiency.value:.3f} [{efficiency.low}, {efficiency.high}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
