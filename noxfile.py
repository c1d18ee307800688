"""The project's sessions: quickstart, tests, lint, wheels; and the longer instruments bench, trust and parity.

Each makes its own environment; nothing but nox has to be there first.
"""

import shutil
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint"]
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True

PLUGINS = ("mlbench-torch", "mlbench-tf", "mlbench-jax")
TEST_PACKAGES = tuple(f"tests/packages/mlbench-{name}" for name in ("shift", "toy", "fakes"))
CONSTRAINTS = Path(__file__).with_name("constraints.txt").resolve()


def install(session: nox.Session, *packages: str) -> None:
    # Constraints through the environment, so that they hold for build environments too.
    session.install(*packages, env={"PIP_CONSTRAINT": str(CONSTRAINTS), "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


def install_everything(session: nox.Session, *extra: str) -> None:
    editable = [word for plugin in PLUGINS for word in ("-e", f"plugins/{plugin}")]
    install(session, "-e", ".", *editable, *extra)


@nox.session
def quickstart(session: nox.Session) -> None:
    """Install the core and all plugins, run the quick configuration on real data, print the summary."""
    install_everything(session)
    session.run("mlbench", "run", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The fast tests: the core's first, then each plugin's in a process of its own."""
    install_everything(session, "pytest", "pytest-xdist", "hypothesis", *TEST_PACKAGES)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("pytest", "-n", "2", "tests")
    for plugin in PLUGINS:
        session.run("pytest", f"plugins/{plugin}/tests")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy --strict on the core and the plugins, and the layer contract."""
    install_everything(
        session, "ruff", "mypy", "import-linter", "nox", "pytest", "pandas-stubs", "types-PyYAML", "types-psutil"
    )
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "mlbench_core")
    for plugin in PLUGINS:
        session.run("mypy", f"plugins/{plugin}/src")
    session.run("lint-imports")


@nox.session
def wheels(session: nox.Session) -> None:
    """Built wheels alone: the core with one plugin, then the core by itself, each in a clean environment."""
    folder = Path(session.create_tmp()) / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    install(session, "build")
    for project in (".", *(f"plugins/{plugin}" for plugin in PLUGINS)):
        session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), project)
    short = ("--models", "mlp", "--epochs", "1", "--output")
    for packages, framework in ((["mlbench-core", "mlbench-jax"], "jax"), (["mlbench-core"], "numpy")):
        with tempfile.TemporaryDirectory() as place:
            session.run("python", "-m", "venv", f"{place}/env")
            pip = [f"{place}/env/bin/python", "-m", "pip", "install", "-q", "--find-links", str(folder)]
            # The public index has an unrelated mlbench-core: the wheels of this folder are named by their version.
            session.run(*pip, "-c", str(CONSTRAINTS), *(f"{name}==26.11.0" for name in packages), external=True)
            with session.chdir(place):
                session.run(f"{place}/env/bin/mlbench", "run", *short, f"{place}/{framework}", external=True)
                text = Path(place, framework, "benchmark_results.csv").read_text()
                assert text.splitlines()[1].startswith(f"{framework},mlp,digits,cpu"), text


@nox.session
def bench(session: nox.Session) -> None:
    """What the harness costs: hand-written loops against it, and its overheads. Takes hours; `--resume` goes on."""
    install_everything(session)
    session.run("python", "-m", "benchmarks.against_handwritten", *session.posargs)
    session.run("python", "-m", "benchmarks.overhead")


@nox.session
def trust(session: nox.Session) -> None:
    """False alarms, power and coverage of the verdicts, simulated and on real processes of the same code."""
    install_everything(session)
    session.run("python", "-m", "benchmarks.trust", *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Writes docs/parity.md: the ladder for six models, every rung climbed anew, and the quick configuration's accuracies."""
    install_everything(session)
    session.run("python", "-m", "benchmarks.parity", *session.posargs)
