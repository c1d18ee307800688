"""What several commands' options have in common, and where they print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from rich.console import Console

List = list[str] | None
"""An option that may be given several times, or with several values."""
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="When resuming, run trials that did not end well again.")
]
Force = Annotated[bool, typer.Option("--force", help="Resume though something has changed; the results are marked.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print what went wrong and where the files are, nothing else.")]
JsonEvents = Annotated[
    bool,
    typer.Option(
        "--json-events", help="Print a JSON object per line, for other programs; see docs/reference/events.md."
    ),
]


class ListCommand(TyperCommand):
    """Lets a list option take several values: `--models mlp cnn` is `--models mlp --models cnn`."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        for parameter in self.params:
            if getattr(parameter, "multiple", False):
                parameter.metavar = "VALUE..."

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        lists = {name for p in self.params if getattr(p, "multiple", False) for name in p.opts}
        spread: list[str] = []
        option = None
        for place, arg in enumerate(args):
            if option and not arg.startswith("-"):
                spread += [arg] if args[place - 1] == option else [option, arg]
                continue
            option = arg if arg in lists else None
            spread.append(arg)
        return super().parse_args(ctx, spread)


def split(values: list[str] | None) -> list[str] | None:
    """Values given as `a b`, `a,b` or both; None if the option was not given."""
    return None if not values else [name for value in values for name in value.split(",") if name]


def make_console() -> Console:
    """Where a command prints."""
    from rich.console import Console

    # A file or a pipe has no width: give the table the width that it needs.
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=False)
