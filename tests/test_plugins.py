"""Finding, loading and binding plugins, and every way in which that goes wrong."""

import importlib
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from mlbench_core import installed, plugins
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import FrameworkSpec, hookimpl
from mlbench_core.installed import find
from mlbench_core.plugins import Framework, load_framework
from mlbench_core.trial import ModelSource
from mlbench_core.verify.subject import Subject

ROOT = Path(__file__).parents[1]


def fake_distribution(folder: Path, name: str, group: str, entry: str, code: str = "") -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    if code:
        (folder / f"{entry.partition('=')[2].strip()}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    return tmp_path


def test_metadata_is_read_without_importing(site: Path) -> None:
    fake_distribution(site, "mlbench-x", "mlbench.frameworks", "x = x_module_1", "raise SystemExit('imported!')")
    assert find("mlbench.frameworks").usable["x"].distribution == "mlbench-x"
    assert "x_module_1" not in sys.modules


def test_a_name_claimed_twice_names_both(site: Path) -> None:
    fake_distribution(site, "mlbench-x", "mlbench.frameworks", "x = m")
    fake_distribution(site, "mlbench-y", "mlbench.frameworks", "x = m")
    installed = find("mlbench.frameworks")
    assert "numpy" in installed.usable
    assert "x" not in installed.usable
    assert list(installed.conflicts) == ["x"]
    with pytest.raises(
        PluginError, match="'x' is claimed by mlbench-x 1.0 and mlbench-y 1.0: set MLBENCH_DISABLE_PLUG"
    ):
        load_framework("x")


@pytest.mark.parametrize("name", ["mlbench-y", "MLBench_Y", " mlbench-y ,other"])
def test_a_distribution_is_disabled_by_its_name(site: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    fake_distribution(site, "mlbench-x", "mlbench.frameworks", "x = m")
    fake_distribution(site, "mlbench-y", "mlbench.frameworks", "x = m")
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", name)
    assert find("mlbench.frameworks").usable["x"].distribution == "mlbench-x"
    assert find("mlbench.frameworks").conflicts == {}


def test_advice_to_disable_never_names_the_core(site: Path) -> None:
    fake_distribution(site, "mlbench-z", "mlbench.frameworks", "numpy = m")
    line = find("mlbench.frameworks").conflicts["numpy"]
    assert "MLBENCH_DISABLE_PLUGINS=mlbench-z" in line
    assert "MLBENCH_DISABLE_PLUGINS=mlbench-core" not in line


def test_who_claims_the_references_name_costs_no_proof(site: Path) -> None:
    """The ladder compares with the core's own reference, whoever claims its name."""
    fake_distribution(site, "mlbench-z", "mlbench.frameworks", "numpy = m")
    toy = load_framework("toy")
    source = ModelSource("mlbench_core.models.mlp:mlp")
    subject = Subject(framework=toy, info=toy.framework_info(), device="cpu", threads=1, seed=0, source=source)
    assert subject.reference.framework_info().name == "numpy"


def test_plugins_are_blocked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "toy" in find("mlbench.frameworks").usable
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "toy, shift")
    assert "toy" not in find("mlbench.frameworks").usable
    assert "toy" in {plugin.name for plugin in find("mlbench.frameworks").disabled}
    assert "shift" not in find("mlbench.plugins").usable


def test_install_advice_is_what_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so never a bare name, which would come from the public index."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"\((python -m pip install [^)]*)\)", installed.install_advice("mlbench-jax"))
    assert len(commands) == 2
    assert all(command in readme for command in commands)
    advice = "\n".join(installed.missing(installed.Installed()).values())
    for distribution in installed.INSTALL_HINTS.values():
        assert (ROOT / "plugins" / distribution / "pyproject.toml").is_file()
        assert f"./plugins/{distribution})" in advice
        assert f"install {distribution}" not in advice


def module(**hooks: Any) -> types.ModuleType:
    made = types.ModuleType("made")
    for name, function in hooks.items():
        setattr(made, name, hookimpl(function))
    return made


def whole(**hooks: Any) -> types.ModuleType:
    names = [name for name in vars(FrameworkSpec) if not name.startswith("_") and name not in plugins.OPTIONAL_HOOKS]
    return module(**{name: (lambda: None) for name in names} | hooks)


def test_hot_hooks_are_the_plugins_own_functions() -> None:
    def train_step(session: Any, batch: Any) -> Any: ...

    assert Framework(whole(train_step=train_step), "made").train_step is train_step


def test_a_hook_may_take_fewer_parameters() -> None:
    framework = Framework(whole(to_numpy=lambda value: value + 1), "made")
    assert framework.to_numpy("session", 2) == 3


def test_every_hook_is_bound_and_typed_by_the_contract() -> None:
    """A subclass of the contract, so that mypy checks calls; and none falls through to the contract's own empty bodies."""
    framework = Framework(whole(), "made")
    assert isinstance(framework, FrameworkSpec)
    hooks = {name for name in vars(FrameworkSpec) if not name.startswith("_")}
    assert hooks <= set(vars(framework))


def test_missing_hooks_are_named() -> None:
    with pytest.raises(PluginError, match=r"made lacks the hooks .*train_step.*hookspecs.py"):
        Framework(module(infer=lambda session, batch: None), "made")


def test_a_parameter_that_the_hook_does_not_have_is_named() -> None:
    with pytest.raises(PluginError, match="speed"):
        Framework(whole(infer=lambda session, speed: None), "made")


def test_an_optional_hook_that_is_absent_says_so() -> None:
    framework = Framework(whole(), "made")
    assert framework.hooks == set()
    with pytest.raises(UnsupportedError, match="made does not implement the hook gradients"):
        framework.gradients(None, None, None)


def test_the_hook_that_raised_is_named_with_its_plugin() -> None:
    toy = load_framework("toy")
    with pytest.raises(AttributeError) as raised:
        toy.read_weights(None)
    said = (
        "read_weights of the framework plugin 'toy' (mlbench-toy 1.0) raised AttributeError: 'NoneType' object has no"
    )
    assert plugins.reason(raised.value).startswith(said)
    with pytest.raises(FileNotFoundError) as raised_below:
        toy.load(None, Path("nowhere"))  # the outermost hook counts, and the library below is none
    assert plugins.reason(raised_below.value).startswith("load of the framework plugin 'toy' ")


def test_what_no_hook_raised_is_said_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        1 / 0  # noqa: B018
    assert plugins.reason(raised.value) == "ZeroDivisionError: division by zero"


def test_a_hook_of_no_installed_plugin_is_named_with_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "toy")
    from mlbench_toy import plugin as toy

    with pytest.raises(AttributeError) as raised:
        toy.read_weights(None)  # type: ignore[arg-type]
    assert plugins.reason(raised.value).startswith("read_weights of the module mlbench_toy.plugin raised Attr")


def test_a_framework_that_fails_to_import_says_why(site: Path) -> None:
    fake_distribution(site, "mlbench-z", "mlbench.frameworks", "z = z_module_1", "import no_such_thing")
    with pytest.raises(PluginError, match=r"'z' \(mlbench-z 1.0\) failed to import: ModuleNotFoundError"):
        load_framework("z")
