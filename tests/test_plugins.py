"""Finding, loading and binding plugins, and every way in which that goes wrong."""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from mlbench_core import plugins
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import FrameworkSpec, hookimpl
from mlbench_core.plugins import Framework, find, load_framework, load_registry


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
    assert find("mlbench.frameworks")["x"].distribution == "mlbench-x"
    assert "x_module_1" not in sys.modules


def test_a_name_claimed_twice_names_both(site: Path) -> None:
    fake_distribution(site, "mlbench-x", "mlbench.frameworks", "x = m")
    fake_distribution(site, "mlbench-y", "mlbench.frameworks", "x = m")
    with pytest.raises(PluginError, match=r"mlbench-[xy] and mlbench-[xy] both provide"):
        find("mlbench.frameworks")


def test_plugins_are_blocked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "toy" in find("mlbench.frameworks")
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "toy, shift")
    assert "toy" not in find("mlbench.frameworks")
    assert "shift" not in find("mlbench.plugins")


def test_a_broken_plugin_warns_and_stops_nobody(site: Path) -> None:
    fake_distribution(site, "mlbench-bad", "mlbench.plugins", "bad = bad_module_1", "import no_such_thing")
    with pytest.warns(UserWarning, match=r"'bad' of mlbench-bad was left out: ModuleNotFoundError.*no_such_thing"):
        registry = load_registry(site)
    assert "mlp" in registry.models
    assert list(registry.broken) == ["bad"]


MODELS = """
from mlbench_core.hookspecs import ModelDescriptor, hookimpl
from mlbench_core.trial import ModelSource
@hookimpl
def register_models():
    return [ModelDescriptor("{name}", ModelSource("a:b"), takes="vector", description="")]
"""


def test_a_model_registered_twice_names_both_plugins(site: Path) -> None:
    fake_distribution(site, "mlbench-twin", "mlbench.plugins", "twin = twin_module_1", MODELS.format(name="cnn"))
    with pytest.raises(PluginError, match="both register the model 'cnn'"):
        load_registry(site)


def test_a_hook_that_does_not_exist_is_an_error(site: Path) -> None:
    (site / "mlbenchfile.py").write_text(
        "from mlbench_core.hookspecs import hookimpl\n@hookimpl\ndef register_modles():\n    return []\n"
    )
    with pytest.raises(Exception, match="register_modles"):
        load_registry(site)


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


def test_a_framework_that_fails_to_import_says_why(site: Path) -> None:
    fake_distribution(site, "mlbench-z", "mlbench.frameworks", "z = z_module_1", "import no_such_thing")
    with pytest.raises(PluginError, match=r"'z' \(mlbench-z 1.0\) failed to import: ModuleNotFoundError"):
        load_framework("z")
