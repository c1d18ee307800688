"""`mlbench new`: begins a package."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """What a package adds."""

    FRAMEWORK = "framework"
    MODEL = "model"
    DATASET = "dataset"
    REPORTER = "reporter"


def new(
    kind: Annotated[Kind, typer.Argument(help="What the package adds.")],
    name: Annotated[str, typer.Argument(help="Its name, as users will type it.")],
) -> None:
    """Write a package that works, with its tests, into the folder mlbench-NAME, and list what is left to do."""
    from pathlib import Path

    from mlbench_core.testing.scaffold import todos, write_package

    folder = write_package(kind.value, name, Path())
    print(f"Written: {folder}. What is left to do, in this order:")
    print("\n".join(todos(folder)))
    print("Install it, with pytest, and run its tests:")
    print(f'  python -m pip install -e "{folder}[testing]"')
    print(f"  python -m pytest {folder}")
