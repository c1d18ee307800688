"""`mlbench plugins`, `mlbench doctor` and `mlbench schema`: what is installed, on what machine, and what files hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Load each framework, in a process of its own; status 1 if anything is broken."),
    ] = False,
) -> None:
    """List the installed plugins, what each adds (frameworks, models, data sets ...) and what keeps others from use."""
    import json
    from pathlib import Path

    from mlbench_core.installed import FRAMEWORKS, find
    from mlbench_core.registry import load_registry
    from mlbench_core.report.listing import as_data, as_text

    registry, installed = load_registry(Path.cwd()), find(FRAMEWORKS)
    data, sound = as_data(registry, installed), True
    if check:
        from mlbench_core.config import Config
        from mlbench_core.plugins import attribute
        from mlbench_core.runner.checking import check_frameworks

        found = check_frameworks(installed, attribute(registry.executor(Config().executor).run), "cpu")
        data["checked"] = [each.as_data() for each in found]
        sound = all(each.info for each in found) and not data["broken"] and not data["conflicts"]
    print(json.dumps(data, indent=1) if as_json else as_text(data))
    if not sound:
        raise typer.Exit(1)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the facts about this machine and its frameworks, and what to do about those that make numbers doubtful."""
    import json

    from mlbench_core.report.diagnosis import as_text
    from mlbench_core.runner.doctor import diagnose
    from mlbench_core.serialize import to_json

    found = diagnose()
    print(json.dumps(to_json(found), indent=1) if as_json else as_text(found))


class File(StrEnum):
    """What has a schema."""

    CONFIG = "config"
    RESULTS = "results"


def schema(file: Annotated[File, typer.Argument(help="Of which file.")] = File.RESULTS) -> None:
    """Print the JSON Schema (2020-12) of a configuration or of benchmark_results.json, which holds the former."""
    import json

    if file is File.CONFIG:
        from mlbench_core.config_schema import config_schema as made
    else:
        from mlbench_core.results.schema import results_schema as made
    print(json.dumps(made(), indent=1))
