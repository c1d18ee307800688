"""What is read is data, what is written holds no secret: docs/explanation/security.md says how.

Archives and downloads of data sets are tested in tests/data, configurations in test_yaml_file, model files in the conformance
kit, and damaged files of all kinds in tests/fuzz.
"""

import ast
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from made import made

from mlbench_core.architecture import Optimizer
from mlbench_core.executor import Setting, inspect_request
from mlbench_core.executors import local
from mlbench_core.report.html import write_html
from mlbench_core.results import Results
from mlbench_core.results.storage import NAME, save
from mlbench_core.runner.turns import run_alone
from mlbench_core.testing import checks
from mlbench_core.trial import Inspection, Plan

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "mlbench_core").rglob("*.py"), *ROOT.glob("plugins/*/src/**/*.py")])
SECRET = "s3cr3t-of-the-environment"

RUNS_CODE = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
"""Modules that run what they read."""
NEEDS = {  # a call by its last names, and the argument without which it is not safe
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
    "tar.extractall": ("filter", "data"),
    "tar.extract": ("filter", "data"),
    "keras.models.load_model": ("safe_mode", True),
}
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "tempfile.mktemp", "np.loads",
    "torch.hub.load", "shutil.unpack_archive",
}  # fmt: skip
BETWEEN_PROCESSES = {"plugins/mlbench-torch/src/mlbench_torch/ranks.py": ["pickle"]}
"""A worker and the processes that it starts itself, over pipes that nobody else has."""


def unsafe(source: str) -> Iterator[str]:
    """The calls and imports in a source that may run what they read, or follow where it leads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in RUNS_CODE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in RUNS_CODE:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {word.arg: word.value for word in node.keywords}
            shell = given.get("shell")
            wanted = NEEDS.get(name)
            found = given.get(wanted[0]) if wanted else None
            safe = wanted is None or (isinstance(found, ast.Constant) and found.value == wanted[1])
            if name in FORBIDDEN or not safe or (isinstance(shell, ast.Constant) and shell.value):
                yield ast.unparse(node)


def test_nothing_runs_what_it_reads() -> None:
    assert len(SOURCES) > 100
    found = {path.relative_to(ROOT).as_posix(): list(unsafe(path.read_text())) for path in SOURCES}
    assert {path: calls for path, calls in found.items() if calls} == BETWEEN_PROCESSES


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "eval(text)",
        "yaml.load(file, yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "tar.extractall(folder)",
        "subprocess.run(command, shell=True)",
        "tempfile.mktemp()",
    ],
)
def test_what_runs_what_it_reads_is_seen(line: str) -> None:
    assert list(unsafe(line))
    assert not list(unsafe("module.eval(); torch.load(path, weights_only=True); np.load(path, allow_pickle=False)"))


VARIABLES = {
    "CUDA_VISIBLE_DEVICES", "MLBENCH_CACHE", "XDG_CACHE_HOME", "container", "KUBERNETES_SERVICE_HOST", "GITHUB_STEP_SUMMARY",
    "XLA_FLAGS", "XLA_PYTHON_CLIENT_PREALLOCATE", "TF_ENABLE_ONEDNN_OPTS", "CXX",
    "DISABLE",  # the name of the constant for MLBENCH_DISABLE_PLUGINS
    "CPU_DEVICES",  # the name of the constant for how many devices the CPU is shown as
    "MEETING",  # the name of the constant for where several nodes meet
    "VARIABLE",  # of the fakes' behaviour
}  # fmt: skip
"""What is ever asked of the environment; of these the facts, the knobs and the keys of the cache may hold a value."""
HANDED_ON = {"mlbench_core/executors/local.py"}
"""Who takes the environment as a whole: the worker's is its parent's."""
WRITES = {"mlbench_core/worker/entering.py", "plugins/mlbench-ray/src/mlbench_ray/cluster.py"}
"""Who sets what `worker_environment` asks for, and what Ray reads before it hides GPUs from who asked for none."""
KIT = "mlbench_core/testing/"
"""Runs in tests of plugins, never in a run."""


def asked(source: str) -> Iterator[str]:
    """The variables that a source asks the environment for; "*" for all of it."""
    tree = ast.parse(source)
    inside = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.environb")):
            continue
        parent = inside[id(node)]
        if isinstance(parent, ast.Attribute) and parent.attr == "get":
            parent = inside[id(parent)]
        key = None
        if isinstance(parent, ast.Subscript):
            key = parent.slice
        elif isinstance(parent, ast.Call) and parent.args:
            key = parent.args[0] if ast.unparse(parent.func).startswith("os.") else None
        yield key.value if isinstance(key, ast.Constant) else key.id if isinstance(key, ast.Name) else "*"


def test_the_environment_is_asked_for_no_other_variable() -> None:
    found = {path.relative_to(ROOT).as_posix(): set(asked(path.read_text())) for path in SOURCES}
    others = {
        path: names - VARIABLES for path, names in found.items() if names - VARIABLES and not path.startswith(KIT)
    }
    assert set(others) <= HANDED_ON | WRITES, others
    assert "*" in found["mlbench_core/executors/local.py"]  # what looks for it finds it
    assert set(asked("os.environ['A']; os.environ.get('B', 1); os.getenv('C'); dict(os.environ)")) == {
        "A",
        "B",
        "C",
        "*",
    }


@pytest.mark.long
def test_a_secret_of_the_environment_is_in_no_file_of_a_run(tmp_path: Path) -> None:
    """Through a trial that ends well, one whose framework breaks, verification, the journal, logs, facts and the report."""
    (tmp_path / "mlbenchfile.py").write_text(
        "import os\n"
        "from mlbench_core.hookspecs import ModelDescriptor, hookimpl\n"
        "from mlbench_core.trial import ModelSource\n"
        "@hookimpl\n"
        "def register_models():\n"
        "    source = ModelSource('mlbenchfile:broken')\n"
        "    return [ModelDescriptor(name='broken', source=source, takes='vector', description='broken')]\n"
        "def broken(input_shape, num_classes):\n"
        "    token = os.environ['AWS_SECRET_ACCESS_KEY']\n"
        "    raise RuntimeError('made to fail')\n"
    )
    (tmp_path / "c.yaml").write_text(
        "frameworks: [numpy]\nmodels: [mlp, broken]\nnum_epochs: 1\n"
        "measure: {warmup_steps: 1, warmup_seconds: 0, value_seconds: 0.001, min_values: 3, min_seconds: 0, steady_limit: 0,\n"
        "          latency_steps: 20, queries: 20}\n"
    )
    names = (
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "MLBENCH_SECRET",
        "SECRET",
        "PYTHONSECRET",
        "XLA_SECRET",
        "CUDA_SECRET",
    )
    code = "import sys; from mlbench_core.cli import main; sys.argv[0] = 'mlbench'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--config", "c.yaml"], capture_output=True, text=True, cwd=tmp_path, check=False,
        env={
            **os.environ, **dict.fromkeys(names, SECRET), "MLBENCH_CACHE": str(tmp_path / "cache"),
            "MLBENCH_DISABLE_PLUGINS": "",
        },
    )  # fmt: skip
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    names_of = {path.name for path in files}
    assert {NAME, "journal.jsonl", "report.html"} <= names_of, done.stdout + done.stderr
    records = Results.load(tmp_path / "results").records
    assert "made to fail" in str([record.reason for record in records]) + done.stdout + done.stderr
    assert any(record.status == "ok" for record in records)
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in done.stdout + done.stderr


def failing(log: str) -> Results:
    results = made(models=["mlp"], batch_sizes=[32], blocks=1, failed=["jax"])
    return evolve(results, records=tuple(evolve(record, log=log) for record in results.records))


LOGS = [
    "../secret.txt",
    "../../secret.txt",
    "{outside}",
    "logs/link.log",
    "logs/..",
    "",
    "logs/\0",
    "k" * 5000,
    "\ud800",
]


@pytest.mark.parametrize("log", LOGS, ids=lambda log: ascii(log[:20]))
def test_a_log_outside_the_folder_is_not_read(log: str, tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text(SECRET)
    run = tmp_path / "run"
    (run / "logs").mkdir(parents=True)
    (run / "logs" / "link.log").symlink_to(outside)
    results = failing(log.format(outside=outside))
    save(results, run / NAME)
    write_html(Results.load(run), tmp_path / "report", "title", source=run / NAME, with_charts=False)
    texts = [path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file()]
    assert texts
    assert not any(SECRET.encode() in text for text in texts)


def test_a_log_inside_is_read_and_only_its_end(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(b"first line\n" + b"\xff" * 2**20 + b"\nthe last line\n")
    results = failing("elsewhere/a.log")
    save(results, tmp_path / NAME)
    write_html(results, tmp_path / "report", "title", source=tmp_path / NAME, with_charts=False)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "the last line" in page
    assert "first line" not in page


def test_a_workers_folder_for_temporary_files_is_private(tmp_path: Path) -> None:
    """Whatever the mask: others could read a model, or put a library there."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nstat -c '%a %u' \"$TMPDIR\" > {tmp_path}/mode\n")
    python.chmod(0o755)
    plan = Plan(
        device="cpu", precision="fp32", execution="default", batch_size=1, threads=1, seed=0, task="infer",
        optimizer=Optimizer(name="sgd", learning_rate=0.1),
    )  # fmt: skip
    mask = os.umask(0)
    try:
        request = inspect_request(Inspection("numpy", plan))
        run_alone(local.run(request, Setting(python=str(python), time_limit_s=30, log=tmp_path / "log")))
    finally:
        os.umask(mask)
    mode, owner = (tmp_path / "mode").read_text().split()
    assert int(mode, 8) & (stat.S_IRWXG | stat.S_IRWXO) == 0
    assert int(owner) == os.getuid()


@pytest.mark.parametrize("trap", checks.TRAPS)
def test_a_load_that_runs_code_is_found(trap: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    def load(path: Path) -> object:
        if zipfile.is_zipfile(path):
            return pickle.loads(zipfile.ZipFile(path).read("data.pkl"))
        return pickle.loads(path.read_bytes())

    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({}))
    assert load(tmp_path / "model") == {}
    with pytest.raises(AssertionError, match="load\\(\\) ran a program that was in model"):
        checks.assert_runs_no_code(load, tmp_path / "model", trap, tmp_path / "ran")
