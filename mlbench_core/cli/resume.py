"""`mlbench resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mlbench_core.cli.options import Force, JsonEvents, Quiet, RetryFailed


def resume(
    folder: Annotated[Path, typer.Argument(help="The output folder of a run that was interrupted.")],
    retry_failed: RetryFailed = False,
    force: Force = False,
    quiet: Quiet = False,
    json_events: JsonEvents = False,
) -> None:
    """Go on with a run where it was interrupted: its configuration is in its folder, and what has ended is kept."""
    import os

    from mlbench_core.cli.running import make_follower, run_suite
    from mlbench_core.config import Config
    from mlbench_core.errors import JournalError
    from mlbench_core.runner import Suite
    from mlbench_core.runner.journal import NAME
    from mlbench_core.runner.journal_reader import read

    if quiet and json_events:
        raise typer.BadParameter("--json-events goes without --quiet")
    found = read(folder / NAME)
    if found is None:
        raise JournalError(f"{folder}: there is no run to resume in it; `mlbench run --output FOLDER` begins one")
    begun = found.headers[-1]
    if Path.cwd() != Path(begun.folder):
        folder = folder.resolve()
        try:
            os.chdir(begun.folder)  # what the configuration names, and an mlbenchfile.py, may lie there
        except OSError as error:
            raise JournalError(
                f"{folder}: the run began in {begun.folder!r}, which cannot be entered ({error.strerror}): make it as it was, "
                "or begin anew with `mlbench run`"
            ) from None
    config = Config.parse(begun.config).replace(output=str(folder))
    suite = Suite(config, skip_frameworks=begun.skipped)
    how = {"resume": True, "overwrite": False, "retry_failed": retry_failed, "force": force}
    raise typer.Exit(run_suite(suite, begun.verify, begun.strict, make_follower(quiet, json_events), how))
