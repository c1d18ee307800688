"""`mlbench verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from mlbench_core.cli.options import List, make_console, split


def verify(
    frameworks: Annotated[List, typer.Option(help="Frameworks to verify, or all.")] = None,
    models: Annotated[List, typer.Option(help="Models to verify, or all.")] = None,
    devices: Annotated[List, typer.Option(help="Devices: cpu cuda:0 cuda:0-1 ..., or all.")] = None,
    precision: Annotated[List, typer.Option(help="Precisions for the last rung.")] = None,
    output: Annotated[str | None, typer.Option(help="Folder for parity.md and the logs.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3, not 1, if a model failed.")] = False,
) -> None:
    """Prove that each framework computes what the NumPy reference computes; print the largest error of every rung."""
    from pathlib import Path

    from mlbench_core.config import Config
    from mlbench_core.report.followers import People
    from mlbench_core.report.parity import write_text
    from mlbench_core.report.summary import parity_table
    from mlbench_core.runner import Suite

    given = {
        "frameworks": split(frameworks),
        "models": split(models) or ["mlp", "resnet18", "bert-tiny"],
        "devices": split(devices),
        "precision": split(precision),
        "output": output,
    }
    suite = Suite(
        Config(dataset="synthetic").replace(**{key: value for key, value in given.items() if value is not None})
    )
    console = make_console()
    people = People(console)
    if suite.not_offered:
        people.note(f"not offered, so not planned: {suite.not_offered}")
    parity = suite.verify(True, people.verified)
    console.print(parity_table(parity))
    print(f"Written: {write_text(parity, (), Path(suite.config.output))}")
    if any(result.verdict == "failed" for result in parity):
        raise typer.Exit(3 if strict else 1)
