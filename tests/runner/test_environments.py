"""`mlbench env create`: what is installed from where, and one line for whatever cannot be."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlbench_core import Suite
from mlbench_core.errors import ConfigError
from mlbench_core.runner import environments
from mlbench_core.runner.environments import Plugin, commands, create, install_words, plugin_for, plugins, source_of

TORCH = Plugin(
    framework="pytorch",
    distribution="mlbench-torch",
    requires=frozenset({"torch"}),
    source=("-e", "plugins/mlbench-torch"),
)
JAX = Plugin(
    framework="jax", distribution="mlbench-jax", requires=frozenset({"jax", "flax"}), source=("/w/mlbench_jax.whl",)
)
CORE = Plugin(framework="numpy", distribution="mlbench-core", requires=frozenset({"numpy"}), source=())
KNOWN = [TORCH, JAX, CORE]


@pytest.mark.parametrize(
    ("wanted", "framework"),
    [
        (["torch==2.12.1"], "pytorch"),
        (["Torch >= 2.12", "numpy<3"], "pytorch"),
        (["numpy==2.1.0"], "numpy"),
        (["flax[all]~=0.10"], "jax"),
        (["mlbench-jax"], "jax"),
        (["mlbench_torch", "sympy"], "pytorch"),
    ],
)
def test_a_requirement_tells_whose_plugin_is_wanted(wanted: list[str], framework: str) -> None:
    assert plugin_for(wanted, KNOWN).framework == framework


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            ["torhc==2"],
            "--with torhc==2: no framework's plugin requires it. They require pytorch: torch; jax: flax, jax; numpy",
        ),
        (["torch", "jax"], "pytorch and jax are frameworks of their own; make an environment for each"),
        (["--index-url=x"], "'--index-url=x' is not a requirement such as torch==2.12.1"),
        (["../torch"], "'../torch' is not a requirement"),
        (["torch 2"], "'torch 2' is not a requirement"),
    ],
)
def test_what_is_no_requirement_of_a_plugin_is_one_line(wanted: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        plugin_for(wanted, KNOWN)
    assert words in str(error.value)


def test_the_plugins_are_those_that_are_here() -> None:
    found = {plugin.framework: plugin for plugin in plugins()}
    assert found["toy"].distribution == "mlbench-toy"
    assert found["numpy"] == CORE
    assert not any("numpy" in plugin.requires for plugin in found.values() if plugin.distribution != "mlbench-core")
    if source_of("mlbench-core")[0] == "-e":  # from a checkout those that lie in it are known too
        assert found["pytorch"].requires >= {"torch"}
        assert found["pytorch"].source[0] == "-e"
        assert Path(found["pytorch"].source[1], "pyproject.toml").is_file()


@pytest.mark.parametrize(
    ("direct", "words"),
    [
        ('{"url": "file:///a%20b/mine", "dir_info": {"editable": true}}', ["-e", "/a b/mine"]),
        ('{"url": "file:///src/mine", "dir_info": {}}', ["/src/mine"]),
        ('{"url": "file:///w/mine-1.0-py3-none-any.whl", "archive_info": {}}', ["/w/mine-1.0-py3-none-any.whl"]),
        ('{"url": "https://host.invalid/mine.whl", "archive_info": {}}', ["mine==1.0"]),
        (None, ["mine==1.0"]),
    ],
)
def test_a_distribution_is_installed_from_where_it_came(
    direct: str | None, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    if direct is not None:
        (info / "direct_url.json").write_text(direct)
    monkeypatch.syspath_prepend(tmp_path)
    assert source_of("mine") == words
    with pytest.raises(ConfigError, match="env: nowhere is not installed here"):
        source_of("nowhere")


def test_core_plugin_and_what_is_wanted_are_installed_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "source_of", lambda name: ["-e", "/here"])
    assert install_words(TORCH, ["torch==2.12.1"]) == ["-e", "/here", "-e", "plugins/mlbench-torch", "torch==2.12.1"]
    assert install_words(JAX, ["mlbench-jax", "jax<1"]) == ["-e", "/here", "/w/mlbench_jax.whl", "jax<1"]
    assert install_words(CORE, ["numpy==2.1.0"]) == ["-e", "/here", "numpy==2.1.0"]


def test_uv_makes_it_where_it_is_installed() -> None:
    words = ["-e", "/here", "torch==2.12.1"]
    pip = [[sys.executable, "-m", "venv", "envs/a"], ["envs/a/bin/python", "-m", "pip", "install"]]
    made, filled = commands(Path("envs/a"), words, None)
    assert [made, filled[:4], filled[-3:]] == [*pip, words]
    made, filled = commands(Path("envs/a"), words, "/bin/uv")
    assert made == ["/bin/uv", "venv", "--python", sys.executable, "envs/a"]
    assert filled == ["/bin/uv", "pip", "install", "--python", "envs/a/bin/python", *words]


def without_an_index(folder: Path, words: Sequence[str], uv: str | None) -> list[list[str]]:
    """A real environment that sees what is installed here."""
    code = (
        "import pathlib, sys; (site,) = pathlib.Path(sys.argv[1]).glob('lib/*/site-packages'); "
        "(site / 'a.pth').write_text(sys.argv[2])"
    )
    here = "\n".join([sysconfig.get_path("purelib"), *(path for path in sys.path if path)])
    return [
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        [sys.executable, "-c", code, str(folder), here],
    ]


@pytest.mark.long
def test_an_environment_is_made_and_its_entry_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, float]
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environments, "commands", without_an_index)
    text = create("mine-2", ["numpy==2.1.0"])
    assert text == "{name: numpy, python: envs/mine-2/bin/python, label: mine-2}"
    assert (tmp_path / "envs" / "mine-2.log").read_text().startswith(f"$ {sys.executable} -m venv")
    suite = Suite(frameworks=["numpy", yaml.safe_load(text)], models=["mlp"], num_epochs=1, output="out", measure=quick)
    results = suite.run(verify=False)
    ran = {record.trial.variant: record.measured.interpreter for record in results.records}
    assert ran == {"": sys.executable, "mine-2": str(tmp_path / "envs" / "mine-2" / "bin" / "python")}
    with pytest.raises(ConfigError, match="env: envs/mine-2 is there already; remove it or take another name"):
        create("mine-2", ["numpy==2.1.0"])


def test_half_an_environment_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = "print('Looking'); print('ERROR: No matching distribution'); print('[notice] bye'); raise SystemExit(3)"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        environments,
        "commands",
        lambda folder, words, uv: [without_an_index(folder, words, uv)[0], [sys.executable, "-c", fails]],
    )
    for _ in range(2):
        with pytest.raises(ConfigError, match="failed with status 3: ERROR: No matching distribution; see envs/a.log$"):
            create("a", ["numpy==0.0.1"])
        assert [path.name for path in (tmp_path / "envs").iterdir()] == ["a.log"]
    assert (tmp_path / "envs" / "a.log").read_text().count("\nLooking\n") == 1


@pytest.mark.parametrize("name", ["", "../a", "a b", ".a", "a" * 41])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for an environment"):
        create(name, ["numpy"])
