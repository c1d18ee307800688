"""Reads a file of YAML or JSON; one line that names file, line and column for whatever is malformed, ambiguous or absurd.

YAML 1.1, which PyYAML reads, takes `010` for 8, `1:30` for 90, `no` for false and 2026-01-05 for a date, and has tags that run
a constructor; PyYAML lets the last of two equal keys win. No configuration needs any of it, so it is refused, not guessed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mlbench_core.errors import ConfigError
from mlbench_core.plain_text import clean

LARGEST_FILE = 64 * 1024
"""Bytes; a parser in Python needs a second for as much."""
LONGEST_TEXT = 4096
"""Characters, as in the longest path."""
LONGEST_NUMBER = 40
DEEPEST = 20
MOST_VALUES = 10_000
"""Counted with every alias written out: nine lists of nine aliases each are a billion values in ten lines."""


def load(path: Path) -> Any:
    """What the file holds: mappings, lists, texts, numbers, booleans and None, none of them nested deeper than 20.

    Raises ConfigError, with line and column, for what cannot be read, is not YAML, or may mean two things.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if len(content) > LARGEST_FILE:
        raise ConfigError(
            f"{path}: more than {LARGEST_FILE // 1024} KiB; a configuration is a few lines. Is it the file meant?"
        )
    try:
        return _parse(text)
    except _RefusedError as error:
        raise ConfigError(f"{path}: {_place(error.problem_mark)}: {clean(str(error.problem))}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigError(f"{path}: not valid YAML or JSON at line {line}, column {column}: {error.reason}") from None
    except yaml.MarkedYAMLError as error:
        at = _place(error.problem_mark or error.context_mark)
        raise ConfigError(
            f"{path}: not valid YAML or JSON at {at}: {clean(str(error.problem or error.context))}"
        ) from None


def _parse(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    except (
        ValueError
    ) as error:  # what PyYAML itself does not catch: an escape beyond Unicode, a version of 5,000 digits
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=loader.get_mark()) from None
    finally:
        loader.dispose()


class _RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that a configuration may not hold."""


def _refuse(problem: str, mark: Any) -> _RefusedError:
    return _RefusedError(problem=problem, problem_mark=mark)


def _place(mark: Any) -> str:
    """The place of a mark of PyYAML, whose type depends on which of its two parsers is there."""
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else "its end"


class _Loader(yaml.SafeLoader):
    """Looks at every node as it is composed, before anything is made of it: what is absurd costs no time nor memory."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._written = 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise _refuse(f"the tag {event.tag!r} has no place in a configuration: leave it out", event.start_mark)
        if self._depth == DEEPEST:
            raise _refuse(f"nested more than {DEEPEST} deep", event.start_mark)
        self._written += 1
        if self._written > MOST_VALUES:  # a reader in Python takes a second for a file full of brackets
            raise _refuse(f"more than {MOST_VALUES} values up to here", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        assert node is not None
        if isinstance(event, yaml.AliasEvent):
            if node not in self._sizes:
                raise _refuse(f"*{event.anchor} is part of itself", event.start_mark)
        else:
            self._sizes[node] = self._look_at(node)
        if self._sizes[node] > MOST_VALUES:
            raise _refuse(f"more than {MOST_VALUES} values from here", event.start_mark)
        return node

    def _look_at(self, node: yaml.Node) -> int:
        """How many values the node holds, itself included. Raises _RefusedError for what is wrong with it alone."""
        if isinstance(node, yaml.ScalarNode):
            self._look_at_scalar(node)
            return 1
        if isinstance(node, yaml.MappingNode):
            _look_at_keys(node)
            return 1 + sum(self._sizes[key] + self._sizes[value] for key, value in node.value)
        return 1 + sum(self._sizes[item] for item in node.value)

    def _look_at_scalar(self, node: yaml.ScalarNode) -> None:
        text, kind = node.value, node.tag.rpartition(":")[2]
        if len(text) > LONGEST_TEXT:
            raise _refuse(f"a text of {len(text)} characters; at most {LONGEST_TEXT} are taken", node.start_mark)
        if kind in ("int", "float"):
            if len(text) > LONGEST_NUMBER:
                raise _refuse(
                    f"a number of {len(text)} characters; at most {LONGEST_NUMBER} are taken", node.start_mark
                )
            try:
                self.yaml_constructors[node.tag](self, node)
            except ValueError:
                raise _refuse(f"{text} looks like a number and is none", node.start_mark) from None
        problem = _two_meanings(text, kind, plain=not node.style)
        if problem:
            raise _refuse(f"{_short(text)} {problem}", node.start_mark)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _two_meanings(text: str, kind: str, plain: bool) -> str:
    """What YAML takes a scalar for that its author may not have meant, and what to write instead; empty if nothing.

    kind: the last part of the tag that YAML resolves it to. plain: it is not in quotes.
    """
    if plain and re.fullmatch(r"[-+]?0[0-9_]+", text):
        return "starts with a zero, as octal numbers do: leave the zero out, or put it in quotes if it is a name"
    if kind in ("int", "float") and ":" in text:
        return "is a number to the base of 60 in YAML: write the number out, or put it in quotes if it is a name"
    if kind == "timestamp":
        return "looks like a date to YAML: put it in quotes"
    if kind == "bool" and text.lower() not in ("true", "false"):
        return "is a yes or a no to YAML: write true or false, or put it in quotes if it is a name"
    return ""


def _look_at_keys(node: yaml.MappingNode) -> None:
    seen: dict[tuple[str, str], yaml.Node] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refuse("a list or a mapping cannot be a key", key.start_mark)
        first = seen.setdefault((key.tag, key.value), key)
        if first is not key:
            raise _refuse(f"{_short(key.value)} is given twice; first in {_place(first.start_mark)}", key.start_mark)
