"""`mlbench run`: its options.

Without `from __future__ import annotations`, which would have typer compile each of them whenever mlbench starts.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from mlbench_core.cli.options import Force, JsonEvents, List, Quiet, RetryFailed, split
from mlbench_core.plain_text import clean

if TYPE_CHECKING:
    from mlbench_core.runner import Suite


def run(
    config: Annotated[
        str | None,
        typer.Option(
            help="A YAML or JSON file, a results file, or a shipped name: quick_test, benchmark_config, comprehensive, "
            "gpu_reference, gpu_scaling."
        ),
    ] = None,
    frameworks: Annotated[
        List, typer.Option(help="Frameworks to run, as `mlbench plugins` names them, or all.")
    ] = None,
    skip_frameworks: Annotated[List, typer.Option(help="Frameworks, or labels, to leave out.")] = None,
    models: Annotated[List, typer.Option(help="Models: mlp cnn transformer resnet50 bert-base ..., or all.")] = None,
    devices: Annotated[List, typer.Option(help="Devices: cpu cuda:0 cuda:0-1 ..., or all.")] = None,
    batch_sizes: Annotated[List, typer.Option(help="Training batch sizes, or auto: the largest that fits.")] = None,
    precision: Annotated[List, typer.Option(help="fp32 tf32 bf16 fp16 fp64, or all.")] = None,
    execution: Annotated[List, typer.Option(help="default eager graph compiled, or all.")] = None,
    tasks: Annotated[List, typer.Option(help="train infer, or one of them.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Epochs of real training.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="digits, digits-sequence, breast_cancer, cifar10, synthetic, or a path to an .npz file."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where downloaded data sets already lie.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="defaults (as each framework comes), matched (same precision, all compiled) or tuned."),
    ] = None,
    blocks: Annotated[str | None, typer.Option(help="How often every cell is repeated, in fresh processes.")] = None,
    seed: Annotated[str | None, typer.Option(help="Seed of weights, batches and order.")] = None,
    threads: Annotated[str | None, typer.Option(help="CPU threads per worker.")] = None,
    executor: Annotated[
        str | None, typer.Option(help="What runs the trials: local, or what `mlbench plugins` lists.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Where the executor's cluster is, as it takes it.")] = None,
    output: Annotated[str | None, typer.Option(help="Folder for the results.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the trials and stop.")] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Skip the parity ladder; results say unverified.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if frameworks are not comparable.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the output folder.")] = False,
    retry_failed: RetryFailed = False,
    force: Force = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the output folder.")] = False,
    quiet: Quiet = False,
    json_events: JsonEvents = False,
) -> None:
    """Run a benchmark; without arguments, the quick configuration on whatever is installed.

    List options take several values: --models mlp cnn, or --models mlp,cnn, or the option repeated.
    """
    from mlbench_core.cli.running import make_follower, run_suite
    from mlbench_core.config import Config
    from mlbench_core.runner import Suite

    if json_events and (quiet or dry_run):
        raise typer.BadParameter(f"--json-events goes without {'--quiet' if quiet else '--dry-run'}")
    given = {
        "frameworks": split(frameworks),
        "models": split(models),
        "devices": split(devices),
        "batch_sizes": split(batch_sizes),
        "precision": split(precision),
        "execution": split(execution),
        "tasks": split(tasks),
        "num_epochs": epochs,
        "dataset": dataset,
        "data_dir": data_dir,
        "profile": profile,
        "blocks": blocks,
        "seed": seed,
        "threads": threads,
        "executor": executor,
        "output": output,
    }
    chosen = Config.load(config if config is not None else "quick_test")
    if address is not None:
        chosen = chosen.replace(executor_options={**chosen.executor_options, "address": address})
    suite = Suite(
        chosen.replace(**{key: value for key, value in given.items() if value is not None}),
        skip_frameworks=tuple(split(skip_frameworks) or ()),
    )
    if dry_run:
        _print_trials(suite)
    else:
        how = {"resume": resume, "overwrite": overwrite, "retry_failed": retry_failed, "force": force}
        raise typer.Exit(run_suite(suite, not no_verify, strict, make_follower(quiet, json_events), how))


def _print_trials(suite: "Suite") -> None:
    if suite.not_offered:
        print(clean(f"not offered, so not planned: {suite.not_offered}"))
    for trial in suite.trials:
        print(clean(f"{trial.key}  {trial.label}  {trial.dataset}"))
    print(f"{len(suite.trials)} trials")
