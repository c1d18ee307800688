"""The command line: run, verify, plugins and doctor.

Only typer is imported here; what a command needs is imported when it runs, so that `mlbench --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from mlbench_core.errors import MlbenchError

if TYPE_CHECKING:
    from rich.console import Console

    from mlbench_core.runner import Suite
    from mlbench_core.verify.rungs import Climb

app = typer.Typer(
    help="Compare machine-learning frameworks on models proven identical.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _ListCommand(TyperCommand):
    """Lets a list option take several values: `--models mlp cnn` is `--models mlp --models cnn`."""

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


@app.callback()
def _main() -> None:
    """Compare machine-learning frameworks on models proven identical."""


List = list[str] | None


@app.command(cls=_ListCommand)
def run(
    config: Annotated[
        str | None,
        typer.Option(help="A YAML or JSON file, or a shipped name: quick_test, benchmark_config, comprehensive."),
    ] = None,
    frameworks: Annotated[
        List, typer.Option(help="Frameworks to run, as `mlbench plugins` names them, or all.")
    ] = None,
    skip_frameworks: Annotated[List, typer.Option(help="Frameworks to leave out.")] = None,
    models: Annotated[List, typer.Option(help="Models: mlp cnn transformer resnet50 bert-base ..., or all.")] = None,
    devices: Annotated[List, typer.Option(help="Devices: cpu cuda:0 ..., or all.")] = None,
    batch_sizes: Annotated[List, typer.Option(help="Training batch sizes.")] = None,
    precision: Annotated[List, typer.Option(help="fp32 tf32 bf16 fp16 fp64, or all.")] = None,
    execution: Annotated[List, typer.Option(help="default eager graph compiled, or all.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Epochs of real training.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="digits, digits-sequence, breast_cancer, cifar10, synthetic, or a path to an .npz file."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where downloaded data sets already lie.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="defaults (as each framework comes) or matched (same precision, all compiled).")
    ] = None,
    blocks: Annotated[str | None, typer.Option(help="How often every cell is repeated, in fresh processes.")] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of weights, batches and order.")] = None,
    threads: Annotated[str | None, typer.Option(help="CPU threads per worker.")] = None,
    output: Annotated[str | None, typer.Option(help="Folder for the results.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the trials and stop.")] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Skip the parity ladder; results say unverified.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if frameworks are not comparable.")] = False,
) -> None:
    """Run a benchmark; without arguments, the quick configuration on whatever is installed.

    List options take several values: --models mlp cnn, or --models mlp,cnn, or the option repeated.
    """
    from mlbench_core.config import Config
    from mlbench_core.runner import Suite

    given = {
        "frameworks": _split(frameworks),
        "models": _split(models),
        "devices": _split(devices),
        "batch_sizes": _split(batch_sizes),
        "precision": _split(precision),
        "execution": _split(execution),
        "num_epochs": epochs,
        "dataset": dataset,
        "data_dir": data_dir,
        "profile": profile,
        "blocks": blocks,
        "seed": seed,
        "threads": threads,
        "output": output,
    }
    chosen = Config.load(config if config is not None else "quick_test")
    suite = Suite(
        chosen.replace(**{key: value for key, value in given.items() if value is not None}),
        skip_frameworks=tuple(_split(skip_frameworks) or ()),
    )
    if dry_run:
        _print_trials(suite)
    else:
        raise typer.Exit(_run(suite, no_verify, strict))


def _split(values: list[str] | None) -> list[str] | None:
    """Values given as `a b`, `a,b` or both; None if the option was not given."""
    return None if not values else [name for value in values for name in value.split(",") if name]


def _console() -> Console:
    from rich.console import Console

    # A file or a pipe has no width: give the table the width that it needs.
    return Console(width=None if sys.stdout.isatty() else 160, soft_wrap=False)


def _print_trials(suite: Suite) -> None:
    for trial in suite.trials:
        print(f"{trial.key}  {trial.label}  {trial.dataset}")
    print(f"{len(suite.trials)} trials")


def _verify(suite: Suite, console: Console, fresh: bool) -> tuple[Climb, ...]:
    """Climbs the ladder; prints a line per model as it is done, and where one that did not get to the top stopped."""

    def tell(climb: Climb) -> None:
        console.print(f"{climb.verdict:<10} {climb.framework} {climb.model} {climb.device}", highlight=False)
        failure = climb.first_failure()
        if failure:
            console.print(f"           {failure.describe()}", markup=False, highlight=False, soft_wrap=True)

    console.print("parity with the NumPy reference:")
    return suite.verify(fresh, tell)


def _run(suite: Suite, no_verify: bool, strict: bool) -> int:
    """Verifies, runs, prints; the exit status: 1 if a trial failed or a number is impossible, 3 if frameworks are not
    comparable under --strict, 130 after Ctrl-C or a termination signal."""
    import signal
    from pathlib import Path

    from mlbench_core.report.terminal import not_comparable, print_results, say
    from mlbench_core.runner.progress import TrialProgress

    # How batch systems and `timeout` end a run: then as after Ctrl-C, no worker stays behind and what is finished is written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = _console()
    parity = () if no_verify else _verify(suite, console, fresh=False)
    with TrialProgress(console, len(suite.trials)) as progress:
        results = suite.run(progress.on_event, progress.on_download, parity)
    print_results(console, results)
    written = sorted(path for path in Path(suite.config.output).iterdir() if path.is_file())
    say(console, f"Written: {', '.join(map(str, written))}")
    if results.interrupted:
        say(console, f"Interrupted: {len(results.records)} of {len(suite.trials)} trials are finished and kept.")
        return 130
    rows = results.cells()
    if results.failures() or any(row["status"] == "rejected" for row in rows):
        return 1
    return 3 if strict and not_comparable(rows) else 0


@app.command(cls=_ListCommand)
def verify(
    frameworks: Annotated[List, typer.Option(help="Frameworks to verify, or all.")] = None,
    models: Annotated[List, typer.Option(help="Models to verify, or all.")] = None,
    devices: Annotated[List, typer.Option(help="Devices: cpu cuda:0 ..., or all.")] = None,
    precision: Annotated[List, typer.Option(help="Precisions for the last rung.")] = None,
    output: Annotated[str | None, typer.Option(help="Folder for parity.md and the logs.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3, not 1, if a model failed.")] = False,
) -> None:
    """Prove that each framework computes what the NumPy reference computes; print the largest error of every rung."""
    from pathlib import Path

    from mlbench_core.config import Config
    from mlbench_core.report.parity import write_text
    from mlbench_core.report.summary import parity_table
    from mlbench_core.runner import Suite

    given = {
        "frameworks": _split(frameworks),
        "models": _split(models) or ["mlp", "resnet18", "bert-tiny"],
        "devices": _split(devices),
        "precision": _split(precision),
        "output": output,
    }
    suite = Suite(
        Config(dataset="synthetic").replace(**{key: value for key, value in given.items() if value is not None})
    )
    console = _console()
    climbs = _verify(suite, console, fresh=True)
    console.print(parity_table(climbs))
    print(f"Written: {write_text(climbs, (), Path(suite.config.output))}")
    if any(climb.verdict == "failed" for climb in climbs):
        raise typer.Exit(3 if strict else 1)


@app.command()
def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed plugins: frameworks, models, data sets, reporters, executors."""
    import json
    from pathlib import Path

    from mlbench_core.plugins import FRAMEWORKS, INSTALL_HINTS, find, load_registry

    found = find(FRAMEWORKS)
    registry = load_registry(Path.cwd())
    data: dict[str, Any] = {
        "frameworks": [
            {"name": p.name, "distribution": p.distribution, "version": p.version, "module": p.module}
            for p in found.values()
        ],
        "missing": {name: f"python -m pip install {hint}" for name, hint in INSTALL_HINTS.items() if name not in found},
        "models": [
            {"name": m.name, "aliases": list(m.aliases), "takes": m.takes, "description": m.description}
            for m in registry.models.values()
        ],
        "datasets": [
            {"name": d.name, "kind": d.kind, "description": d.description} for d in registry.datasets.values()
        ],
        "reporters": [{"name": r.name, "description": r.description} for r in registry.reporters.values()],
        "executors": [{"name": e.name, "description": e.description} for e in registry.executors.values()],
        "broken": registry.broken,
    }
    if as_json:
        print(json.dumps(data, indent=1))
        return
    for kind, entries in data.items():
        if entries:
            print(f"{kind}:")
        for entry in entries if isinstance(entries, list) else [{"name": k, "is": v} for k, v in dict(entries).items()]:
            name, *rest = entry.values()
            print(f"  {name:<18}", "  ".join(", ".join(v) if isinstance(v, list) else str(v) for v in rest))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the facts about this machine and its frameworks, and what to do about those that make numbers doubtful."""
    import json

    from mlbench_core.runner.doctor import diagnose
    from mlbench_core.trial import to_json

    found = diagnose()
    if as_json:
        print(json.dumps(to_json(found), indent=1))
        return
    for name, value in found.facts.items():
        if name != "gpus":
            print(f"{name:<24}", "n/a" if value is None else json.dumps(value) if isinstance(value, dict) else value)
    for number, gpu in enumerate(found.facts["gpus"]):
        print(f"{f'cuda:{number}':<24}", json.dumps(gpu))
    for name, info in found.frameworks.items():
        offers = "cannot be used" if info is None else f"{info.version}, on {', '.join(info.devices)}"
        print(f"{name:<24}", offers)
    for flag in found.flags:
        print(flag)
    if not found.flags:
        print("nothing here makes timings doubtful")


def main() -> None:
    """The console script: one line and status 2 for an error that the user can mend."""
    import warnings

    warnings.formatwarning = lambda message, *_args, **_kw: f"mlbench: warning: {message}\n"
    try:
        app()
    except MlbenchError as error:
        print(f"mlbench: error: {error}", file=sys.stderr)
        sys.exit(2)
