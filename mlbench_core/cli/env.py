"""`mlbench env`: environments for frameworks of other versions."""

from __future__ import annotations

from typing import Annotated

import typer

env = typer.Typer(help="Make environments for other versions of a framework.", no_args_is_help=True)


@env.callback()
def _group() -> None:
    """Make environments for other versions of a framework."""


@env.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the environment, in the folder envs; also its label in results.")],
    wanted: Annotated[
        list[str], typer.Option("--with", help="What to install there, as pip takes it, such as torch==2.12.1.")
    ],
) -> None:
    """Make an environment with this mlbench-core, a framework's plugin and what is asked for; print the entry for it."""
    from mlbench_core.runner.environments import FOLDER, create

    print(f"making {FOLDER / name}; what is installed is in {FOLDER / name}.log", flush=True)
    entry = create(name, wanted)
    print(f"Made. In a configuration:\n\nframeworks:\n  - {entry}")
