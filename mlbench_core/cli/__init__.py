"""The command line; a file per kind of command.

Only typer is imported here; what a command needs is imported when it runs, so that `mlbench --help` answers at once. Help is
plain text: importing Rich, which would draw boxes around it, takes as long as all the rest.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mlbench_core import interruption
from mlbench_core.cli import about, compare, new, report, resume, run, streams, verify
from mlbench_core.cli.cache import cache
from mlbench_core.cli.env import env
from mlbench_core.cli.options import ListCommand
from mlbench_core.errors import MlbenchError
from mlbench_core.plain_text import clean

app = typer.Typer(
    help="Compare machine-learning frameworks on models proven identical.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(cls=ListCommand)(run.run)
app.command()(resume.resume)
app.command(cls=ListCommand)(verify.verify)
app.command()(report.report)
app.command()(compare.compare)
app.command()(about.plugins)
app.command()(about.doctor)
app.command()(about.schema)
app.command()(new.new)
app.add_typer(cache, name="cache")
app.add_typer(env, name="env")


@app.callback(invoke_without_command=True)
def _main(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --version: the plugins' and frameworks' too.")
    ] = False,
) -> None:
    """Compare machine-learning frameworks on models proven identical."""
    if version:
        _print_versions(verbose)
        raise typer.Exit
    if verbose:
        raise typer.BadParameter("--verbose goes with --version")
    if ctx.invoked_subcommand is None:
        ctx.fail("Missing command.")


def _print_versions(verbose: bool) -> None:
    from mlbench_core import __version__

    print(f"mlbench {__version__}")
    if verbose:
        from mlbench_core.installed import CORE, FRAMEWORKS, PLUGINS, find
        from mlbench_core.report.listing import versions_text

        others = [plugin for plugin in find(PLUGINS).enabled if plugin.distribution != CORE]
        print(versions_text([*find(FRAMEWORKS).enabled, *others]))


def main() -> None:
    """The console script: one line and status 2 for an error that the user can mend: docs/reference/exit-statuses.md."""
    import warnings

    interruption.listen()
    streams.forgive()
    warnings.formatwarning = lambda message, *_args, **_kw: f"mlbench: warning: {message}\n"
    try:
        app()
    except MlbenchError as error:
        print(f"mlbench: error: {clean(str(error))}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        sys.exit(_status(end.code))


def _status(code: str | int | None) -> str | int | None:
    """The exit status: that of the signal that ended the command, else 1 if what it printed is lost."""
    fault = streams.fault_of(sys.stdout)
    if fault:
        print(f"mlbench: error: the standard output cannot be written: {fault}", file=sys.stderr)
    return interruption.end_deaf() or code or (1 if fault else code)
