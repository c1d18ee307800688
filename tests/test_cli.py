"""The command line as people meet it: real processes, exit statuses, one line for every mistake."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MLBENCH = str(Path(sys.executable).with_name("mlbench"))


def mlbench(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MLBENCH, *args], capture_output=True, text=True, timeout=300, cwd=cwd)


def trials(*args: str) -> list[str]:
    done = mlbench("run", "--dry-run", *args)
    assert done.returncode == 0, done.stderr
    return [line.split()[1] for line in done.stdout.splitlines()[:-1]]


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "broken.yaml").write_text("models: [mlp\n")
    (folder / "key.yaml").write_text("modles: [mlp]\n")
    np.savez(folder / "half.npz", x_train=np.zeros((4, 3)), y_train=np.zeros(4, int))
    return folder


@pytest.mark.parametrize(
    "args",
    [
        ["--frameworks", "numpy", "toy", "--models", "mlp"],
        ["--frameworks", "numpy,toy", "--models", "mlp"],
        ["--frameworks", "numpy", "--frameworks", "toy", "--models=mlp"],
        ["--models", "mlp", "--frameworks", "numpy", "toy", "--batch-sizes", "32"],
    ],
)
def test_lists_are_given_in_any_of_the_usual_ways(args: list[str]) -> None:
    assert sorted(trials(*args)) == [
        f"{framework}-mlp-cpu-bs{size}-fp32-{task}-b0"
        for framework in ("numpy", "toy")
        for size, task in ((1, "infer"), (32, "train"))
    ]


def test_options_override_the_configuration() -> None:
    found = trials(
        "--config", "benchmark_config", "--frameworks", "numpy", "--models", "mlp", "--batch-sizes", "8", "16"
    )
    assert sorted(found) == [
        "numpy-mlp-cpu-bs1-fp32-infer-b0",
        *(f"numpy-mlp-cpu-bs{n}-fp32-train-b0" for n in (16, 8)),
    ]


def test_numeric_options_are_numbers() -> None:
    found = trials(
        "--frameworks", "numpy", "--models", "mlp", "--blocks", "2", "--seed", "3", "--threads", "1", "--epochs", "2"
    )
    assert len(found) == 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--models", "resnet19"], "models: unknown model 'resnet19': did you mean 'resnet18'?"),
        (["--frameworks", "pytroch"], "unknown framework 'pytroch'"),
        (["--devices", "tpu"], "devices: unknown device 'tpu'"),
        (["--devices", "cuda:99"], "devices: there is no cuda:99 here"),
        (["--dataset", "imagenet"], "dataset: unknown data set 'imagenet'"),
        (["--dataset", "nowhere.npz", "--models", "mlp"], "nowhere.npz: not a readable .npz file"),
        (["--precision", "fp23"], "precision: unknown precision 'fp23'"),
        (["--batch-sizes", "0"], "batch_sizes: 0 is not a whole number of at least 1"),
        (["--batch-sizes", "many"], "batch_sizes: 'many' is not a whole number"),
        (["--batch-sizes", "100000", "--models", "mlp"], "batch_sizes: 100000 is more than the 1437 samples of digits"),
        (["--epochs", "-1"], "num_epochs: -1 is not"),
        (["--config", "nowhere.yaml"], "no file 'nowhere.yaml'"),
        (["--config", "{bad}/broken.yaml"], "broken.yaml: not valid YAML or JSON at line 2"),
        (["--config", "{bad}/key.yaml"], "key.yaml: unknown key 'modles': did you mean 'models'?"),
        (["--dataset", "{bad}/half.npz", "--models", "mlp"], "half.npz: it lacks x_val, y_val"),
        (
            ["--dataset", "synthetic:8x8", "--models", "mlp"],
            "'synthetic:8x8' cannot be made for a model that takes vector data",
        ),
        (["--output", "{bad}/key.yaml/out", "--models", "mlp"], "output: cannot make the folder"),
        (["--skip-frameworks", "numpy", "--frameworks", "numpy"], "no framework is left"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(args: list[str], words: str, bad_files: Path, tmp_path: Path) -> None:
    done = mlbench("run", *(arg.format(bad=bad_files) for arg in args), cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("mlbench: error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert not list(tmp_path.glob("results/benchmark*"))


def test_an_option_that_does_not_exist_is_status_2() -> None:
    done = mlbench("run", "--modles", "mlp")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_plugins_as_json() -> None:
    data = json.loads(mlbench("plugins", "--json").stdout)
    assert {"numpy", "toy"} <= {plugin["name"] for plugin in data["frameworks"]}
    assert {"mlp", "resnet50", "bert-base", "shift-mlp"} <= {model["name"] for model in data["models"]}
    assert {"digits", "cifar10", "synthetic"} <= {dataset["name"] for dataset in data["datasets"]}
    assert data["broken"] == {}


def test_plugins_for_people() -> None:
    text = mlbench("plugins").stdout
    assert "frameworks:" in text
    assert "resnet18" in text


def test_a_local_plugin_file(tmp_path: Path) -> None:
    (tmp_path / "mlbenchfile.py").write_text(
        "from mlbench_core.hookspecs import ModelDescriptor, hookimpl\n"
        "from mlbench_core.trial import ModelSource\n"
        "@hookimpl\n"
        "def register_models():\n"
        "    source = ModelSource('mlbench_core.models.mlp:mlp')\n"
        "    return [ModelDescriptor('mine', source, takes='vector', description='my own')]\n"
    )
    done = mlbench("run", "--frameworks", "numpy", "--models", "mine", "--dry-run", cwd=tmp_path)
    assert "numpy-mine-cpu-bs32-fp32-train-b0" in done.stdout
    (tmp_path / "mlbenchfile.py").write_text("import no_such_module\n")
    done = mlbench("run", "--models", "mlp", cwd=tmp_path)
    assert done.returncode == 2
    assert "mlbenchfile.py failed to import: ModuleNotFoundError" in done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path_factory.mktemp("run")
    return mlbench("run", "--frameworks", "toy", "--models", "mlp", "--epochs", "1", cwd=folder), folder


def test_a_run_prints_a_table_and_where_the_files_are(run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, folder = run
    assert done.returncode == 0, done.stderr
    for words in ("samples/s", "val. acc. %", "toy", "results/benchmark_results.json", "results/benchmark_results.csv"):
        assert words in done.stdout
    assert (folder / "results" / "benchmark_results.csv").is_file()


def test_a_failed_trial_is_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_FAULT", "raise")
    done = mlbench("run", "--frameworks", "toy", "--models", "mlp", "--epochs", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert "failed: toy-mlp-cpu-bs32-fp32-train-b0: RuntimeError: the toy is broken" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


HEAVY = {
    "pandas",
    "matplotlib",
    "seaborn",
    "sklearn",
    "scipy",
    "torch",
    "tensorflow",
    "keras",
    "jax",
    "flax",
    "mlbench_toy",
}


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["plugins"], ["run", "--dry-run", "--models", "mlp"]])
def test_light_commands_import_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys, json\nfrom mlbench_core import cli\nsys.argv = ['mlbench', *json.loads(sys.argv[1])]\n"
        "try: cli.main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(args)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


def test_help_takes_at_most_twice_a_bare_typer_programs(tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(
        "import typer\napp = typer.Typer(add_completion=False)\n@app.command()\ndef one(name: str = 'x') -> None: ...\n"
        "@app.command()\ndef two() -> None: ...\napp()\n"
    )
    import time

    def seconds(command: list[str]) -> float:
        start = time.perf_counter()
        subprocess.run([*command, "--help"], capture_output=True, check=True)
        return time.perf_counter() - start

    # Interleaved, and the best of each: other work on the machine only ever adds time.
    pairs = [(seconds([MLBENCH]), seconds([sys.executable, str(bare)])) for _ in range(7)]
    ratio = min(ours for ours, _ in pairs) / min(theirs for _, theirs in pairs)
    assert ratio <= 2, f"--help takes {ratio:.2f} times a bare typer program's"


def test_doctor_says_what_is_wrong_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "pytorch,tensorflow,jax")
    monkeypatch.setenv("MLBENCH_FAKE", "this is no behaviour")  # so the fake framework cannot say what it is
    done = mlbench("doctor")
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout
    assert "fake                     cannot be used" in done.stdout
    assert "warn: broken framework (fake cannot be used (JSONDecodeError" in done.stdout
    assert "reinstall mlbench-fakes" in done.stdout
    found = json.loads(mlbench("doctor", "--json").stdout)
    assert set(found["frameworks"]) == {"fake", "numpy", "toy"}
    assert found["facts"]["memory_bytes"] > 0
    assert all(flag["text"] for flag in found["flags"])


def test_a_terminated_run_keeps_what_is_finished(tmp_path: Path) -> None:
    """As `timeout` and batch systems end it."""
    command = [MLBENCH, "run", "--frameworks", "numpy", "--models", "mlp", "--blocks", "50", "--no-verify"]
    with subprocess.Popen(
        [*command, "--epochs", "1", "--output", "out"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as run:
        assert run.stdout is not None
        assert any(line.startswith("ok") for line in run.stdout)
        run.send_signal(signal.SIGTERM)
        said = run.stdout.read()
    assert run.returncode == 130
    assert "of 100 trials are finished and kept" in said
    results = json.loads((tmp_path / "out" / "benchmark_results.json").read_text())
    assert results["interrupted"]
    assert [record["status"] for record in results["records"]] == ["ok"] * len(results["records"]) != []
