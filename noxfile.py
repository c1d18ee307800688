"""The project's sessions: quickstart, core, tests, lint, ci, docs, wheels, browser, examples; and the longer ones long, ray,
bench, chaos, trust, parity, separate and fuzz.

Each makes its own environment; nothing but nox has to be there first.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["ci"]
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True

PLUGINS = ("mlbench-torch", "mlbench-tf", "mlbench-jax")
TEST_PACKAGES = tuple(f"tests/packages/mlbench-{name}" for name in ("shift", "toy", "fakes"))
ROOT = Path(__file__).resolve().parent
CONSTRAINTS = " ".join(str(ROOT / name) for name in ("constraints.txt", "constraints-dev.txt"))
VERSION = re.findall(r'VERSION = "(.*)"', (ROOT / "mlbench_core" / "version.py").read_text())[0]
TESTING = ("pytest", "pytest-xdist", "hypothesis", "jsonschema")
LINTING = ("ruff", "mypy", "import-linter", "nox", "pytest", "pandas-stubs", "types-PyYAML", "types-psutil")
BROWSING = ("pytest", "playwright", "pypdf")
AXE = "axe-core@4.14.1"
PYTHONS = ("3.11", "3.12", "3.13")
NEED_FRAMEWORKS = ("tests/frameworks", "tests/benchmarks")
"""Tests of the core that run real frameworks."""
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""For tests, which start hundreds of processes: one that compiles all that it imports takes a fifth longer."""
UNCOMPILED = "--no-compile"
"""For environments of such tests, which leave compiled what they import: compiling every file takes over a minute."""


def install(session: nox.Session, *packages: str) -> None:
    # Constraints through the environment, so that they hold for build environments too.
    session.install(*packages, env={"PIP_CONSTRAINT": CONSTRAINTS, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})


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
    """The core's tests, then each plugin's in processes of its own."""
    run_tests(session, "not long")


@nox.session
def long(session: nox.Session) -> None:
    """The tests marked long, which take over five seconds each: whole runs, compilations, planted faults.

    A quarter of an hour or more.
    """
    run_tests(session, "long")


def run_tests(session: nox.Session, marked: str) -> None:
    install_everything(session, UNCOMPILED, *TESTING, *TEST_PACKAGES)
    if session.posargs:
        session.run("pytest", *session.posargs, env=COMPILED)
    else:
        all_tests(session, marked)


def all_tests(session: nox.Session, marked: str) -> None:
    elsewhere = ["--ignore=tests/test_code_blocks.py"] if marked == "long" else []  # `docs` runs those
    session.run("pytest", "-n", "2", "-m", marked, *elsewhere, "tests", env=COMPILED)
    for plugin in PLUGINS:
        session.run("pytest", "-n", "2", "-m", marked, f"plugins/{plugin}/tests", env=COMPILED)


@nox.session(venv_backend="none")
def core(session: nox.Session) -> None:
    """The core's own tests with no framework installed, on each supported Python that this machine offers."""
    for version in PYTHONS:
        python = interpreter(version)
        if python is None:
            session.log(f"Python {version} is not on this machine: skipped")
            continue
        place = Path(session.create_tmp()) / version
        if not (place / "bin" / "python").exists():
            session.run(python, "-m", "venv", str(place), external=True)
        own = str(place / "bin" / "python")
        environment = {"PIP_CONSTRAINT": CONSTRAINTS, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        packages = ["-e", ".", *TESTING, *TEST_PACKAGES]
        session.run(own, "-m", "pip", "install", "-q", *packages, env=environment, external=True)
        ignored = [f"--ignore={folder}" for folder in NEED_FRAMEWORKS]
        options = ["-q", "-n", "2", "-m", "not long", *ignored, "tests", *session.posargs]
        session.run(own, "-m", "pytest", *options, env=COMPILED, external=True)


def interpreter(version: str) -> str | None:
    """A Python of that version that runs: on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True))]
    code = f"import sys; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
    for python in filter(None, found):
        if subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0:
            return python
    return None


@nox.session
def examples(session: nox.Session) -> None:
    """Every example as its reader has it: installed, run, its results looked at. `-- three_models` takes that one alone."""
    install_everything(session, *TESTING)
    for name in session.posargs or sorted(path.name for path in Path("examples").iterdir() if path.is_dir()):
        folder = Path("examples", name)
        if (folder / "pyproject.toml").exists():
            install(session, str(folder))
        if (folder / "requirements.txt").exists():
            install(session, "-r", str(folder / "requirements.txt"))
        with session.chdir(folder):
            session.run("pytest", "-q", "-p", "no:cacheprovider", ".")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy --strict on the core and the plugins, and the layer contract."""
    install_everything(session, *LINTING)
    checks(session)


def checks(session: nox.Session) -> None:
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "mlbench_core")
    for plugin in PLUGINS:
        session.run("mypy", f"plugins/{plugin}/src")
    for sources in sorted(Path("examples").glob("*/src")):
        session.run("mypy", str(sources))
    session.run("lint-imports")


@nox.session
def ci(session: nox.Session) -> None:
    """What CI runs first: lint and tests in one environment, which takes over a minute to make."""
    install_everything(session, UNCOMPILED, *LINTING, *TESTING, *TEST_PACKAGES)
    checks(session)
    all_tests(session, "not long")


@nox.session
def browser(session: nox.Session) -> None:
    """The report in headless Chromium with the network cut, a real run's too; with `-- FILE`, only the tests of that file.

    tests/browser/test_page.py needs no framework and takes half a minute.
    """
    if session.posargs:
        install(session, "-e", ".", *BROWSING)
    else:
        install_everything(session, *BROWSING)
    missing = [program for program in ("chromium", "npm") if shutil.which(program) is None]
    if missing:
        apt = [*(["sudo"] if os.geteuid() else []), "apt-get", "-qq"]
        session.run(*apt, "update", external=True)
        session.run(*apt, "install", "--no-install-recommends", *missing, "fonts-dejavu-core", external=True)
    place = Path(session.create_tmp())
    session.run("npm", "install", "--silent", "--no-save", "--prefix", str(place), AXE, external=True)
    axe = place / "node_modules" / "axe-core" / "axe.min.js"
    session.run("pytest", *(session.posargs or ["tests/browser"]), env={"MLBENCH_AXE": str(axe)})


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, into site/, where a warning, a dead link or a request to another host is an error; and then every
    command and tutorial of the documents, executed. Ten minutes or so; `-- site` builds the site alone."""
    install(session, "-e", ".", *TESTING, "mkdocs-material", "mkdocstrings", "mkdocstrings-python", "ruff", "autograd")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    if session.posargs != ["site"]:
        session.run("pytest", "-q", "-n", "2", "tests/test_code_blocks.py", "tests/test_reference_pages.py")


@nox.session
def ray(session: nox.Session) -> None:
    """Runs on Ray clusters of this machine: `-- --ignore plugins/mlbench-ray/tests/long` takes a minute, all of it longer."""
    install(session, UNCOMPILED, "-e", ".", "-e", "plugins/mlbench-ray", *TEST_PACKAGES, *TESTING, "mypy")
    session.run("mypy", "plugins/mlbench-ray/src")
    session.run("pytest", "-q", "plugins/mlbench-ray/tests", *session.posargs, env=COMPILED)


@nox.session
def wheels(session: nox.Session) -> None:
    """Built wheels alone: the core with one plugin, then the core by itself, each in a clean environment."""
    folder = Path(session.create_tmp()) / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    install(session, "build")
    for project in (".", *(f"plugins/{plugin}" for plugin in (*PLUGINS, "mlbench-ray"))):
        session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), project)
    short = ("--models", "mlp", "--epochs", "1", "--output")
    for packages, framework in ((["mlbench-core", "mlbench-jax"], "jax"), (["mlbench-core"], "numpy")):
        with tempfile.TemporaryDirectory() as place:
            session.run("python", "-m", "venv", f"{place}/env")
            pip = [f"{place}/env/bin/python", "-m", "pip", "install", "-q", "--find-links", str(folder)]
            pip += [word for file in CONSTRAINTS.split() for word in ("-c", file)]
            # The public index has an unrelated mlbench-core: the wheels of this folder are named by their version.
            session.run(*pip, *(f"{name}=={VERSION}" for name in packages), external=True)
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
def chaos(session: nox.Session) -> None:
    """Kills runs with SIGKILL at 100 random moments, resumes each, and checks that nothing is lost. Ten minutes or so."""
    install(session, "-e", ".", *TEST_PACKAGES)
    session.run("python", "-m", "benchmarks.chaos", *session.posargs)


@nox.session
def trust(session: nox.Session) -> None:
    """False alarms, power and coverage of the verdicts, simulated and on real processes of the same code."""
    install_everything(session)
    session.run("python", "-m", "benchmarks.trust", *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Writes docs/results/parity.md: the ladder for six models, checked anew, and the quick configuration's accuracies."""
    install_everything(session)
    session.run("python", "-m", "benchmarks.parity", *session.posargs)


@nox.session
def separate(session: nox.Session) -> None:
    """False alarms of `mlbench compare` over 20 pairs of really separate runs of the same code. Takes an hour or so."""
    install_everything(session)
    session.run("python", "-m", "benchmarks.separate_runs", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """100,000 damaged configurations, results files and journals through their loaders, guided by atheris where it installs."""
    install(session, "-e", ".", *TESTING)
    session.run("python", "-m", "pip", "install", "-q", "--only-binary", ":all:", "atheris", success_codes=[0, 1])
    session.run("python", "tests/fuzz/campaign.py", *session.posargs)


@nox.session
def versions(session: nox.Session) -> None:
    """The quick configuration with PyTorch twice: in this environment, and in one that `mlbench env create` makes beside it.

    `-- torch==2.12.1` says what is installed there, which is the default. Prints the verdicts between the two.
    """
    install(session, "-e", ".", "-e", "plugins/mlbench-torch")
    place = Path(session.create_tmp())
    quick = (ROOT / "configs" / "quick_test.yaml").read_text()
    two = "frameworks: [{name: pytorch, label: here}, {name: pytorch, python: envs/there/bin/python, label: there}]"
    (place / "two.yaml").write_text(quick.replace("frameworks: [all]", two))
    with session.chdir(place):
        shutil.rmtree("envs", ignore_errors=True)
        wanted = [word for each in session.posargs or ["torch==2.12.1"] for word in ("--with", each)]
        session.run("mlbench", "env", "create", "there", *wanted)
        session.run("mlbench", "run", "--config", "two.yaml", "--blocks", "3", "--output", "two", "--overwrite")
        session.run("python", "-c", BETWEEN)


BETWEEN = """
from mlbench_core import Results
results = Results.load("two")
labels = {record.trial.variant for record in results.records}
versions = {(record.trial.variant, record.measured.framework_version) for record in results.records}
found = [c for c in results.comparisons if c.primary and {c.a, c.b} == labels]
assert len(labels) == 2 and len(found) == 6, (labels, found)
assert not any(c.verdict == "not comparable" for c in found), found
page = open("two/report.html").read()
assert all(label in page for label in labels)
print(sorted(versions), *(c.describe() for c in found), sep="\\n")
"""
