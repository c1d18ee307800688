"""The parts of the reference that are made from the code: hooks, commands, configuration keys, thresholds and columns.

A document has the line `<!-- generated: NAME -->` where the text of `PARTS[NAME]` goes when the site is built.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import typer
from attrs import NOTHING, Factory, fields

from mlbench_core import architecture, hookspecs, thresholds
from mlbench_core.cli import app
from mlbench_core.config import Config
from mlbench_core.config_schema import config_schema
from mlbench_core.hookspecs import FrameworkSpec, PluginSpec
from mlbench_core.plugins import OPTIONAL_HOOKS
from mlbench_core.record import MemoryReading
from mlbench_core.report.columns import columns_table
from mlbench_core.trial import ModelSource, Plan

PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def filled(markdown: str) -> str:
    """A document with its generated parts in their places. Raises KeyError for one that there is not."""
    return PLACE.sub(lambda found: PARTS[found[1]](), markdown)


def hooks_of(spec: type) -> dict[str, Callable[..., Any]]:
    """The hooks of a specification, in their order."""
    return {name: value for name, value in vars(spec).items() if inspect.isfunction(value) and not name.startswith("_")}


def signature(hook: Callable[..., Any]) -> str:
    """How an implementation is written: the specification's own signature, without `self`."""
    given = inspect.signature(hook)
    parameters = [f"{name}: {each.annotation}" for name, each in given.parameters.items() if name != "self"]
    return f"def {hook.__name__}({', '.join(parameters)}) -> {given.return_annotation}"


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: what follows `::` is code."""
    lines = inspect.cleandoc(docstring or "")
    code = re.compile(r"::\n\n((?: {4}.*(?:\n|$)|\n)+)")
    return code.sub(lambda found: f":\n\n```python\n{textwrap.dedent(found[1]).strip()}\n```\n\n", lines).strip()


def _hooks(spec: type, needed: Callable[[str], bool]) -> str:
    parts: list[str] = []
    for name, hook in hooks_of(spec).items():
        parts += [f"### {name}", f"```python\n{signature(hook)}\n```", prose(hook.__doc__)]
        parts += [] if needed(name) else ["*Optional.*"]
    return "\n\n".join(parts)


def framework_hooks() -> str:
    """The hooks of a framework."""
    return _hooks(FrameworkSpec, lambda name: name not in OPTIONAL_HOOKS)


def plugin_hooks() -> str:
    """The hooks of any other plugin."""
    return _hooks(PluginSpec, lambda _name: True)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table. A bar in a cell is written so that it is no border."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(cell: str) -> str:
    """Its bars and, outside of code, its stars as they are, and not as Markdown."""
    parts = cell.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("*", "\\*") for place, part in enumerate(parts))


def commands() -> dict[str, Any]:
    """Every command by the words that call it."""
    return dict(_commands("mlbench", typer.main.get_command(app)))


def _commands(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(f"{words} {name}", each)


def command_line() -> str:
    """Every command with its arguments and options, as `--help` prints them."""
    parts: list[str] = []
    for words, command in commands().items():
        context = command.make_context(words, [], resilient_parsing=True)
        usage = " ".join([words, *command.collect_usage_pieces(context)])
        parts += [f"## {words}", f"```text\n{usage}\n```", prose(command.help)]
        records = [each.get_help_record(context) for each in command.get_params(context)]
        rows = [(f"`{record[0]}`", record[1]) for record in records if record is not None]
        parts += [table(("argument or option", "meaning"), rows)]
    return "\n\n".join(parts)


def described(schema: Any) -> str:
    """What a value may be, in words, from its JSON Schema."""
    if "anyOf" in schema:
        first, *others = _told(schema["anyOf"])
        several = [described(first)]
        for other in others:
            if other == {"type": "array", "items": first, "minItems": 1}:
                several = [f"{several[0]}; one, or a list"]
            elif other.get("additionalProperties") == first:
                several += ["one per model, as a mapping"]
            else:
                several += [described(other)]
        return ", or ".join(dict.fromkeys(several))
    if "enum" in schema:
        return ", ".join("null" if each is None else f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "object" and "properties" in schema:
        return f"a mapping of {', '.join(f'`{key}`' for key in schema['properties'])}"
    if schema.get("type") == "object":
        return f"a mapping from {described(schema['propertyNames'])} to {described(schema['additionalProperties'])}"
    words = {
        "string": "a text",
        "boolean": "`true` or `false`",
        "null": "null",
        "integer": "a whole number",
        "number": "a number",
    }
    least = f" of at least {schema['minimum']}" if "minimum" in schema else ""
    return words[schema["type"]] + least


def _told(choices: list[Any]) -> list[Any]:
    """Without the texts that numbers may also be written as."""
    numbers = any(each.get("type") in ("integer", "number") for each in choices)
    return [each for each in choices if not (numbers and each.get("type") == "string")]


SETTINGS = {
    "measure": thresholds.Measure,
    "extend_until": thresholds.ExtendUntil,
    "compare": thresholds.Compare,
    "limits": thresholds.Limits,
}
"""The keys whose values are mappings of thresholds; each has a table of its own."""


def configuration() -> str:
    """Every key of a configuration: what it means, what it may be, its default."""
    defaults = Config().to_dict()
    rows = [
        (
            f"`{key}`",
            schema["description"],
            f"a mapping, see [{key}](#{key})" if key in SETTINGS else described(schema),
            "" if key in SETTINGS else f"`{_yaml(defaults.get(key))}`",
        )
        for key, schema in config_schema()["properties"].items()
    ]
    return table(("key", "meaning", "value", "default"), rows)


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def documented(kind: type) -> dict[str, str]:
    """The fields of a class with the texts that stand below them."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(made, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, following in zip(made.body, [*made.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = following.value if isinstance(following, ast.Expr) else None
            found[statement.target.id] = inspect.cleandoc(text.value) if isinstance(text, ast.Constant) else ""
    return found


def settings() -> str:
    """The thresholds, a table for each of the keys that hold them."""
    parts: list[str] = []
    for key, kind in SETTINGS.items():
        told = documented(kind)
        rows = [
            (f"`{each.name}`", " ".join(told[each.name].split()), f"`{_yaml(each.default)}`") for each in fields(kind)
        ]
        parts += [f"## {key}", prose(kind.__doc__), table(("key", "meaning", "default"), rows)]
    return "\n\n".join(parts)


def constructor(kind: type) -> str:
    """How a value of an attrs class is made: its fields, their types and defaults."""
    lines = [f"{kind.__name__}("]
    for each in fields(kind):
        if each.kw_only and "    *," not in lines:
            lines.append("    *,")
        default = each.default.factory.__name__ + "()" if isinstance(each.default, Factory) else repr(each.default)
        shown = "" if each.default is NOTHING else f" = {default}"
        lines.append(f"    {each.name}: {_annotation(each.type)}{shown},")
    return "\n".join([*lines, ")"]) if len(lines) > 1 else f"{lines[0]})"


def _annotation(kind: Any) -> str:
    """As it is written: attrs has a text, or what that means once somebody has asked."""
    if isinstance(kind, type):
        return kind.__name__
    return kind if isinstance(kind, str) else re.sub(r"[a-z_]+\.", "", str(kind))


def values(*kinds: type) -> str:
    """Attrs classes: how their values are made, and what they mean."""
    return "\n\n".join(
        f"### {kind.__name__}\n\n```python\n{constructor(kind)}\n```\n\n{prose(kind.__doc__)}" for kind in kinds
    )


def layers() -> str:
    """Every layer of the vocabulary."""
    found = (
        each for each in vars(architecture).values() if isinstance(each, type) and issubclass(each, architecture.Layer)
    )
    return values(*(each for each in found if each is not architecture.Layer))


def crossing() -> str:
    """What hooks take and return."""
    kinds = (hookspecs.FrameworkInfo, hookspecs.Batch, hookspecs.Gradients, Plan, MemoryReading)
    descriptors = (each for name, each in sorted(vars(hookspecs).items()) if name.endswith("Descriptor"))
    return values(*kinds, *descriptors, ModelSource)


PARTS: dict[str, Callable[[], str]] = {
    "framework_hooks": framework_hooks,
    "plugin_hooks": plugin_hooks,
    "command_line": command_line,
    "configuration": configuration,
    "settings": settings,
    "columns": columns_table,
    "layers": layers,
    "architecture": lambda: values(architecture.Architecture, architecture.Optimizer, architecture.CrossEntropy),
    "crossing": crossing,
}
