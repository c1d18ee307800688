"""Files -> damaged files, the same for the same random numbers: what a disk, a hand or an attacker may make of one."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import yaml

LARGEST = 200_000
"""Bytes; a damaged file is cut here."""
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
STRANGE: list[Any] = [
    None, True, False, -1, 0, 1, 1.5, -0.0, 2**31, 2**63, 2**64, 10**30, -(10**30), 10**4000, 1e308, 5e-324, math.nan, math.inf,
    -math.inf, "", "x", "NaN", "1e3", "0x10", "010", "1:30", "\0", "\ud800", "‮|<b>\x1b[0m\n", "é" * 50, "k" * 5000, "../../etc",
    [], [[]], [1], ["x"], [None] * 50, {}, {"a": 1}, {"": {}}, {"k" * 5000: 1},
]  # fmt: skip
TOKENS: list[bytes] = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"-", b"0x_", b"010", b"1:30", b"\xff\xfe", b"\x00", b"\xed\xa0\x80",
    b"\xe2\x80\xae", b"\x1b[31m", b"\\ud800", b"\\u", b"\\", b'"', b"'", b"[", b"]", b"{", b"}", b",", b":", b": ", b"\n",
    b"\r\n", b"\t", b"#", b"- ", b"? ", b"| ", b"> ", b"&x ", b"*x", b"<<: *x", b"!!python/object/apply:os.system [exit]",
    b"!!int x", b"%YAML 9.9\n", b"---\n", b"...\n",
    b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"- " * 500, b"k" * 20_000, b"&a [*a]", LAUGHS.encode(),
    b'"schema": "mlbench-results"', b'"records": [\n', b"]\n}\n", b'"key": 3, ', b"null", b"true", b"1e-400",
]  # fmt: skip


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content after one to four edits."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        content = rng.choice(EDITS)(content, rng)[:LARGEST]
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    """Up to eight bytes become others."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 8) if found else 0):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def _bit(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content)
    if found:
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randint(0, len(content))]


def _cut(content: bytes, rng: random.Random) -> bytes:
    """A piece is gone."""
    start, end = _piece(content, rng)
    return content[:start] + content[end:]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    """A piece is there several times."""
    start, end = _piece(content, rng)
    return content[:end] + content[start:end] * rng.randint(1, 20) + content[end:]


def _piece(content: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randint(0, len(content))
    return start, min(len(content), start + rng.randint(1, 200))


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = rng.randint(0, len(content))
    return content[:place] + rng.choice(TOKENS) + content[place:]


def _lines(content: bytes, rng: random.Random) -> bytes:
    """A line is gone, there twice, or in another's place."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(3)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(two, lines[one])
    else:
        lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def _tree(content: bytes, rng: random.Random) -> bytes:
    """A value becomes another, of another type; or a key gets another name, or goes; in the file or in one line of it."""
    lines = content.splitlines(keepends=True)
    place = rng.randrange(len(lines)) if lines else 0
    whole, line = _parsed(content), _parsed(lines[place].rstrip(b",\n")) if lines else None
    if whole is not None and (line is None or rng.random() < 0.5):
        _edit(whole, rng)
        return _dumped(whole, rng)
    if line is None:
        return _insert(content, rng)
    _edit(line, rng)
    ending = b",\n" if lines[place].endswith(b",\n") else b"\n"
    lines[place] = json.dumps(line).encode() + ending
    return b"".join(lines)


def _parsed(content: bytes) -> Any:
    """A mapping or list; None if it is none, or none any more."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        try:
            found = yaml.safe_load(content) if len(content) < 5000 and b"&" not in content else None
        except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError):
            return None
    return found if isinstance(found, (dict, list)) and found else None


def _dumped(value: Any, rng: random.Random) -> bytes:
    try:
        kind = rng.randrange(3)
        if kind == 0 and len(str(value)) < 5000:
            return yaml.safe_dump(value).encode("utf-8", "surrogatepass")
        return json.dumps(value, indent=1 if kind == 1 else None).encode()
    except (ValueError, RecursionError, yaml.YAMLError, TypeError):
        return b"{}"


def _edit(value: Any, rng: random.Random) -> None:
    """One edit somewhere inside, in place."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        if isinstance(value[key], (dict, list)) and value[key] and rng.random() < 0.8:
            value = value[key]
            continue
        kind = rng.randrange(6)
        if kind == 0:
            del value[key]
        elif kind == 1 and isinstance(value, dict):
            value[rng.choice(["", "x", "k" * 5000, "\ud800", "__class__", str(key).upper()])] = value.pop(key)
        elif kind == 2:
            value[key] = _nested(value[key], rng)
        else:
            value[key] = rng.choice(STRANGE)
        return


def _nested(value: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice((1, 2, 30, 200))):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value


EDITS: list[Callable[[bytes, random.Random], bytes]] = [
    _flip, _bit, _truncate, _cut, _repeat, _insert, _lines, _tree, _tree, _tree,
]  # fmt: skip
"""Trees thrice: what still parses gets further."""
