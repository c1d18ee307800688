"""`mlbench plugins --check` on planted broken packages: each is one line that says what to do, and none costs another."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MLBENCH = str(Path(sys.executable).with_name("mlbench"))
SOUND = "from mlbench_toy.plugin import *\nimport mlbench_toy.plugin as toy\nfrom attrs import evolve\n"
SOUND += "from mlbench_core.hookspecs import hookimpl\n"
INFO = "@hookimpl\ndef framework_info():\n    return "

BROKEN = {
    "imports": ("import no_such_module", "failed to import: ModuleNotFoundError: No module named 'no_such_module'"),
    "leaves": ("raise SystemExit(3)", "failed to import: SystemExit: 3"),
    "signs": (
        SOUND + "@hookimpl\ndef infer(session, speed):\n    return None\n",
        "does not fit the contract: Plugin 'module_of_signs' for hook 'infer'",
    ),
    "lacks": (SOUND + "del train_step\n", "lacks the hooks train_step: see mlbench_core/hookspecs.py"),
    "raises": (
        SOUND + INFO + "1 / 0\n",
        "framework_info of the framework plugin 'raises' (mlbench-raises 1.0) raised ZeroDivisionError: division by zero",
    ),
    "dict": (SOUND + INFO + "{}\n", "framework_info returned a dict, not a FrameworkInfo"),
    "field": (
        SOUND + INFO + "evolve(toy.framework_info(), name='field', precisions=['fp32'])\n",
        "framework_info cannot be used: precisions is ['fp32'], not of type tuple",
    ),
    "named": (SOUND, "name is 'toy', and its entry point is named 'named': make them alike"),
    "environment": (
        SOUND + "@hookimpl\ndef worker_environment(plan):\n    return {'THREADS': 1}\n",
        "worker_environment sets 'THREADS' to 1, and both must be texts",
    ),
    "crashes": (SOUND + "import os\nos.abort()\n", "the worker was killed by SIGABRT"),
}
PRINTS = SOUND + "print('hello')\n" + INFO + "evolve(toy.framework_info(), name='prints')\n"


def plant(site: Path, name: str, code: str, group: str = "frameworks") -> None:
    info = site / f"mlbench_{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mlbench-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mlbench.{group}]\n{name} = module_of_{name}\n")
    (site / f"module_of_{name}.py").write_text(code)


def plugins(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([MLBENCH, "plugins", *args], capture_output=True, text=True, timeout=300)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBENCH_DISABLE_PLUGINS", "pytorch,tensorflow,jax,fake,report")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(tmp_path)))))
    return tmp_path


def checked(data: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["found"] for entry in data["checked"]}


def test_a_sound_house_is_status_0_and_says_what_it_found(site: Path) -> None:
    plant(site, "prints", PRINTS)
    done = plugins("--check", "--json")
    assert done.returncode == 0, done.stderr
    found = checked(json.loads(done.stdout))
    assert found["toy"] == "ok: version 1.0 on cpu"
    assert found["prints"] == "ok: version 1.0 on cpu; its import prints 'hello': take that out of module_of_prints"
    assert found["numpy"].startswith("ok: ")


def test_every_way_to_be_broken_is_one_line_and_costs_no_other(site: Path) -> None:
    for name, (code, _) in BROKEN.items():
        plant(site, name, code)
    plant(site, "numpy2", SOUND)
    (site / "mlbench_numpy2-1.0.dist-info" / "entry_points.txt").write_text(
        "[mlbench.frameworks]\ntoy = module_of_numpy2\n"
    )
    done = plugins("--check", "--json")
    assert done.returncode == 1
    assert done.stderr == ""
    data = json.loads(done.stdout)
    found = checked(data)
    for name, (_, said) in BROKEN.items():
        assert said in found[name]
        assert found[name].startswith("broken: ")
        assert "\n" not in found[name]
        advice = (
            f"; upgrade or reinstall mlbench-{name} and what it needs, or set MLBENCH_DISABLE_PLUGINS=mlbench-{name}"
        )
        assert advice in found[name]
    assert found["numpy"].startswith("ok: ")
    assert "toy" not in found  # claimed twice: nobody's until one is taken out
    assert "MLBENCH_DISABLE_PLUGINS=mlbench-numpy2" in data["conflicts"]["toy"]


def test_without_the_option_no_framework_is_loaded(site: Path) -> None:
    plant(site, "imports", BROKEN["imports"][0])
    done = plugins()
    assert done.returncode == 0, done.stderr
    assert "checked:" not in done.stdout


def test_each_plugin_is_listed_with_what_it_adds(site: Path) -> None:
    code = (
        "print('hello')\nfrom mlbench_core.hookspecs import ReporterDescriptor, hookimpl\n"
        "@hookimpl\ndef register_reporters():\n    print('again')\n    return [ReporterDescriptor('mine', 'a:b', '')]\n"
        "@hookimpl\ndef run_finished(results): ...\n"
    )
    plant(site, "adds", code, "plugins")
    plant(site, "gone", "import no_such_module", "plugins")
    done = plugins("--json")
    data = json.loads(done.stdout)  # what the plugin prints is not in it
    assert done.returncode == 0, done.stderr
    (entry,) = (each for each in data["plugins"] if each["name"] == "adds")
    adds = ["reporter mine", "hook run_finished"]
    assert entry == {"name": "adds", "distribution": "mlbench-adds", "version": "1.0", "adds": adds}
    assert data["broken"] == [
        "plugin 'adds' of mlbench-adds 1.0: its import prints 'hello', which is left out; take that out of its code",
        "plugin 'gone' of mlbench-gone 1.0 is left out: ModuleNotFoundError: No module named 'no_such_module'; upgrade it, "
        "or set MLBENCH_DISABLE_PLUGINS=mlbench-gone",
        "plugin 'adds' of mlbench-adds 1.0: register_reporters prints 'again', which is left out; take that out of its code",
    ]
    assert "  adds               mlbench-adds  1.0  reporter mine, hook run_finished\n" in plugins().stdout


HEAD = "from mlbench_core.hookspecs import DatasetDescriptor, ReporterDescriptor, hookimpl\n"
HARMFUL = {
    "import error": ("import no_such_module", "is left out: ModuleNotFoundError.*MLBENCH_DISABLE_PLUGINS"),
    "wrong signature": (
        HEAD + "@hookimpl\ndef register_models(speed): return []\n", "is left out: it does not fit the contract.*speed"
    ),
    "duplicate name": (
        HEAD + "@hookimpl\ndef register_datasets():\n"
        "    return [DatasetDescriptor(name='mine', load='a:b', kind='any', description='')] * 2\n",
        "registers the data set 'mine' twice: rename one",
    ),
    "raising hook": (
        HEAD + "@hookimpl\ndef register_models(): 1 / 0\n", "register_models raised ZeroDivisionError.*is left out"
    ),
    "output on import": ("print('hello')", "its import prints 'hello', which is left out; take that out of its code"),
    "wrong type": (
        HEAD + "@hookimpl\ndef register_reporters(): return {}\n", "register_reporters returned a dict, not a list of"
    ),
}  # fmt: skip
"""Of plugins that are loaded in the parent: the code, and what `mlbench plugins` says."""


def test_harmful_plugins_change_nothing_for_the_others(site: Path) -> None:
    before = json.loads(plugins("--json").stdout)
    for place, (code, _) in enumerate(HARMFUL.values()):
        plant(site, f"harm{place}", code, "plugins")
    done = plugins("--json")
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)
    for kind in ("frameworks", "models", "datasets", "reporters", "optimizers", "executors"):
        assert after[kind] == before[kind], kind
    lines = [*after["broken"], *after["conflicts"].values()]
    for place, (name, (_, said)) in enumerate(HARMFUL.items()):
        found = [line for line in lines if f"mlbench-harm{place} 1.0" in line]
        assert len(found) == 1, (name, found)
        assert re.search(said, found[0]), found[0]
