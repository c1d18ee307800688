"""The generated parts of the reference: every hook, command, option, key, threshold and layer stands there as it is."""

import ast
import re
from pathlib import Path

import pluggy
import pytest
import reference_pages as pages
import yaml
from attrs import evolve, fields
from typer.testing import CliRunner

from mlbench_core import architecture, hookspecs
from mlbench_core.cli import app
from mlbench_core.config import Config

ROOT = Path(__file__).parents[1]


def document(name: str) -> str:
    """One of the reference's documents as the site shows it, but for what mkdocstrings adds."""
    return pages.filled((ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8"))


def cells(text: str) -> dict[str, list[str]]:
    """The lines of a document's tables by their first cell, its code."""
    lines = re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE)
    return {name: rest.split(" | ") for name, rest in lines}


def test_each_generated_part_has_one_place() -> None:
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.md")]
    places = [name for text in texts for name in pages.PLACE.findall(text)]
    assert sorted(places) == sorted(pages.PARTS)


def specified() -> dict[str, str]:
    """Every hook as hookspecs.py writes it, read as text, without `self`."""
    module = ast.parse((ROOT / "mlbench_core" / "hookspecs.py").read_text(encoding="utf-8"))
    specs = [each for each in module.body if isinstance(each, ast.ClassDef) and each.name.endswith("Spec")]
    found = {}
    for hook in (each for spec in specs for each in spec.body if isinstance(each, ast.FunctionDef)):
        hook.args.args = hook.args.args[1:]
        assert hook.returns is not None
        found[hook.name] = f"def {hook.name}({ast.unparse(hook.args)}) -> {ast.unparse(hook.returns)}"
    return found


def test_every_hook_stands_there_with_its_signature() -> None:
    told = re.findall(r"^### (\w+)\n\n```python\n(def .*)\n```\n\n(.+)", document("hooks"), re.MULTILINE)
    assert {name: signature for name, signature, _ in told} == specified()
    assert all(len(meaning) > 10 for *_, meaning in told)
    manager = pluggy.PluginManager("mlbench")
    manager.add_hookspecs(hookspecs.FrameworkSpec)
    manager.add_hookspecs(hookspecs.PluginSpec)
    for name, signature, _ in told:
        (made,) = ast.parse(f"{signature}: ...").body
        assert isinstance(made, ast.FunctionDef)
        assert tuple(each.arg for each in made.args.args) == getattr(manager.hook, name).spec.argnames


def test_another_hook_and_another_parameter_would_stand_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def cool_down(self: object, seconds: float) -> bool:
        """Waits."""
        raise NotImplementedError

    monkeypatch.setattr(hookspecs.FrameworkSpec, "cool_down", cool_down, raising=False)
    assert "### cool_down\n\n```python\ndef cool_down(seconds: " in document("hooks")


def test_optional_hooks_are_said_to_be() -> None:
    parts = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", document("hooks"), re.MULTILINE | re.DOTALL))
    assert {name for name, text in parts.items() if "*Optional.*" in text} == pages.OPTIONAL_HOOKS


def test_every_command_and_every_option_that_help_prints() -> None:
    parts = re.split(r"^## (.*)$", document("command-line"), flags=re.MULTILINE)[1:]
    told = dict(zip(parts[::2], parts[1::2], strict=True))
    assert {"mlbench", "mlbench run", "mlbench env create", "mlbench cache clear"} < set(told)
    for words, text in told.items():
        printed = CliRunner().invoke(app, [*words.split()[1:], "--help"], env={"COLUMNS": "200"}).output
        options = set(re.findall(r"(--[\w-]+)[ ,]", printed)) - set(re.findall(r"`.*?(--[\w-]+)", printed))
        assert "--help" in options
        missing = {option for option in options if option not in text}
        assert not missing, (words, missing)


def test_every_key_stands_there_with_the_default_that_it_has() -> None:
    table = cells(document("configuration"))
    for attribute in fields(Config):
        meaning, _value, default = table[attribute.name]
        assert meaning
        if attribute.name not in pages.SETTINGS:
            given = yaml.safe_load(default.strip("`"))
            assert getattr(Config.parse({attribute.name: given}), attribute.name) == getattr(Config(), attribute.name)


@pytest.mark.parametrize(("key", "kind"), pages.SETTINGS.items())
def test_every_threshold_stands_there_with_its_default(key: str, kind: type) -> None:
    parts = re.split(r"^## (\w+)$", pages.settings(), flags=re.MULTILINE)[1:]
    table = cells(dict(zip(parts[::2], parts[1::2], strict=True))[key])
    assert list(table) == [each.name for each in fields(kind)]
    given = {name: yaml.safe_load(default.strip("`")) for name, (_, default) in table.items()}
    assert getattr(Config.parse({key: given}), key) == kind()
    assert all(len(meaning) > 10 for meaning, _ in table.values())


def test_every_layer_stands_there_with_its_fields_and_its_meaning() -> None:
    made = {
        name for name, each in vars(architecture).items() if isinstance(each, type) and hasattr(each, "output_shape")
    }
    told = re.findall(r"^### (\w+)\n\n```python\n\w+\((?:[^`]*)\)\n```\n\n\S", pages.layers(), re.MULTILINE)
    assert set(told) == made - {"Layer"}
    assert "Conv2D(\n    features: int,\n    kernel: int,\n    stride: int = 1," in pages.layers()


def test_every_kit_stands_there() -> None:
    text = (ROOT / "docs" / "reference" / "kits.md").read_text(encoding="utf-8")
    for path in (ROOT / "mlbench_core" / "testing").glob("*.py"):
        for name in re.findall(r"^class (\w*(?:Conformance|Mutations|Extension))\b", path.read_text(), re.MULTILINE):
            assert f"::: mlbench_core.testing.{path.stem}.{name}\n" in text or name == "DescriptorConformance"


def test_stars_and_bars_in_a_cell_are_no_markup() -> None:
    assert pages.plain("cpu*2 | `cuda:*`") == r"cpu\*2 \| `cuda:*`"
    assert r"cuda:\*, cpu\*2" in document("configuration")


def test_docstrings_with_code_become_code() -> None:
    text = pages.prose(
        "Does. Example::\n\n        @hookimpl\n        def f():\n\n            return 1\n\n    And more."
    )
    assert text == "Does. Example:\n\n```python\n@hookimpl\ndef f():\n\n    return 1\n```\n\nAnd more."


def test_no_default_is_told_that_is_not_the_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = evolve(Config(), blocks=7).to_dict()
    monkeypatch.setattr(Config, "to_dict", lambda _self: changed)
    assert cells(pages.configuration())["blocks"][-1] == "`7`"
