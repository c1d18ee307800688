"""`mlbench env create`: an environment with this mlbench-core, one framework's plugin and the versions that are asked for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import frozen

from mlbench_core.entry import is_label
from mlbench_core.errors import ConfigError
from mlbench_core.installed import CORE, FRAMEWORKS, REFERENCE, find, normalised
from mlbench_core.runner.interpreters import installed_in

FOLDER = Path("envs")
"""In the working directory, where relative paths of a configuration start."""


@frozen(kw_only=True)
class Plugin:
    """A framework plugin that can be installed: its framework, what it requires besides the core, and pip's words for it."""

    framework: str
    distribution: str
    requires: frozenset[str]
    source: tuple[str, ...]


def create(name: str, wanted: Sequence[str]) -> str:
    """Makes envs/NAME and returns the entry of `frameworks` for it.

    wanted: requirements as pip takes them; they tell the framework, whose plugin requires one of them. Raises ConfigError, one
    line, if the name is taken or no name, no plugin requires any of them, or something cannot be installed: then nothing is
    left but pip's log, beside the folder.
    """
    if not is_label(name):
        raise ConfigError(f"env: {name!r} is no name for an environment: letters, digits and . _ + -, 40 at most")
    plugin = plugin_for(wanted, plugins())
    folder = FOLDER / name
    if folder.exists():
        raise ConfigError(f"env: {folder} is there already; remove it or take another name")
    FOLDER.mkdir(exist_ok=True)
    log = FOLDER / f"{name}.log"
    log.unlink(missing_ok=True)
    try:
        for command in commands(folder, install_words(plugin, wanted), shutil.which("uv")):
            _run(command, log)
        python = folder / "bin" / "python"
        if plugin.framework not in installed_in(str(python.absolute()), plugin.framework).usable:
            raise ConfigError(f"env: {plugin.distribution} was installed and is not found by {python}; see {log}")
    except BaseException:  # Ctrl-C included: half an environment is of no use
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return f"{{name: {plugin.framework}, python: {python}, label: {name}}}"


def commands(folder: Path, words: Sequence[str], uv: str | None) -> list[list[str]]:
    """What makes the environment and fills it: uv, by its path, where it is installed, else venv and pip."""
    python = str(folder / "bin" / "python")
    if uv:
        return [
            [uv, "venv", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--python", python, *words],
        ]
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "--disable-pip-version-check", *words],
    ]


def install_words(plugin: Plugin, wanted: Iterable[str]) -> list[str]:
    """Pip's words for the core and the plugin as they are installed here, and for what is wanted; both in one call, so that
    the core's name, which an unrelated project has on the public index, is never looked up there."""
    ours = {CORE, plugin.distribution}
    own = [*source_of(CORE), *(plugin.source if plugin.distribution != CORE else ())]
    return [*own, *(each for each in wanted if _name(each) not in ours)]


def plugin_for(wanted: Sequence[str], known: Sequence[Plugin]) -> Plugin:
    """The plugin that requires one of the requirements, or is one. Raises ConfigError if none, or several, do."""
    asked = {_name(each) for each in wanted}
    found = [plugin for plugin in known if asked & {plugin.distribution, *plugin.requires}]
    found = [plugin for plugin in found if plugin.distribution != CORE] or found  # what the core needs, all need
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(plugin.framework for plugin in found)
        raise ConfigError(f"env: {names} are frameworks of their own; make an environment for each")
    told = "; ".join(f"{plugin.framework}: {', '.join(sorted(plugin.requires))}" for plugin in known)
    raise ConfigError(f"env: --with {' '.join(wanted)}: no framework's plugin requires it. They require {told}")


def plugins() -> list[Plugin]:
    """The plugins that are installed here, those of the checkout that the core is run from, and the core itself."""
    common = _names(requires(CORE) or ())
    found = {
        plugin.distribution: Plugin(
            framework=plugin.name,
            distribution=plugin.distribution,
            requires=_names(requires(plugin.distribution) or ()) - common,
            source=tuple(source_of(plugin.distribution)),
        )
        for plugin in find(FRAMEWORKS).usable.values()
        if plugin.distribution != CORE
    }
    for file in _project_files():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        for framework in project.get("entry-points", {}).get(FRAMEWORKS, {}):
            found.setdefault(
                project["name"],
                Plugin(
                    framework=framework,
                    distribution=project["name"],
                    requires=_names(project.get("dependencies", ())) - common,
                    source=(*source_of(CORE)[:-1], str(file.parent)),
                ),
            )
    return [*found.values(), Plugin(framework=REFERENCE, distribution=CORE, requires=frozenset({REFERENCE}), source=())]


def _project_files() -> list[Path]:
    """Of the plugins beside the core, where it is run from a checkout."""
    checkout = Path(source_of(CORE)[-1])
    return sorted(checkout.glob("plugins/*/pyproject.toml")) if checkout.is_dir() else []


def source_of(name: str) -> list[str]:
    """Pip's words to install a distribution as it is installed here: a folder (editable if it is), a wheel, else its version.

    From PEP 610's direct_url.json.
    """
    try:
        told = distribution(name).read_text("direct_url.json")
    except PackageNotFoundError:
        raise ConfigError(f"env: {name} is not installed here, so there is nothing to install it from") from None
    direct = json.loads(told) if told else {}
    parts = urlsplit(direct.get("url", ""))
    if parts.scheme != "file":
        return [f"{name}=={version(name)}"]
    editable = direct.get("dir_info", {}).get("editable", False)
    return [*(["-e"] if editable else []), unquote(parts.path)]


def _names(requirements: Iterable[str]) -> frozenset[str]:
    """The distributions that requirements name, but for the core and what only extras need."""
    return frozenset(_name(each) for each in requirements if "extra ==" not in each) - {CORE}


def _name(requirement: str) -> str:
    """The distribution that a requirement names. Raises ConfigError if it does not begin with one."""
    found = re.match(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:[\[;@<>=!~(]|$)", requirement)
    if found is None:
        raise ConfigError(f"env: {requirement!r} is not a requirement such as torch==2.12.1")
    return normalised(found[1])


def _run(command: Sequence[str], log: Path) -> None:
    with log.open("ab") as file:
        file.write(f"$ {' '.join(command)}\n".encode())
        file.flush()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        said = next((line for line in reversed(lines) if line.lower().startswith("error")), lines[-1])
        raise ConfigError(f"env: {Path(command[0]).name} failed with status {done.returncode}: {said:.200}; see {log}")
