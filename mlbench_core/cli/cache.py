"""`mlbench cache`: what is kept between runs."""

from __future__ import annotations

import typer

cache = typer.Typer(help="Show what is kept between runs, or empty it.", invoke_without_command=True)


@cache.callback()
def show(ctx: typer.Context) -> None:
    """Show what is kept between runs: where, and how much."""
    if ctx.invoked_subcommand is not None:
        return
    from mlbench_core.machine.cache import cache_folder, kept

    print(cache_folder())
    for one in kept():
        print(f"  {one.name:<8} {one.files:>6} files {one.size / 1e6:>10,.1f} MB  {one.meaning}")


@cache.command()
def clear() -> None:
    """Remove all of it; what is needed is made or proven again."""
    from mlbench_core.machine.cache import clear as clear_all

    for one in clear_all():
        print(f"removed {one.files} files, {one.size / 1e6:,.1f} MB: {one.path}")
