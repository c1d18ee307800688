"""Types -> JSON Schema (2020-12), for values as `serialize.to_json` writes them."""

from __future__ import annotations

import inspect
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from attrs import NOTHING, fields, has

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NON_FINITE = ("NaN", "Infinity", "-Infinity")
"""JSON has no such numbers: a file holds these texts."""
SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    float: {"anyOf": [{"type": "number"}, {"enum": list(NON_FINITE)}]},
    Any: {},
}


class Definitions:
    """Schemas of types, each class once under its name: `found` becomes `$defs`."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type: a scalar, Literal, union, list, tuple of any length, dict by text, attrs class or TypedDict.

        Raises TypeError for another.
        """
        if kind in SCALARS:
            return SCALARS[kind]
        if has(kind) or is_typeddict(kind):
            return self._class(kind)
        origin, inside = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.of(inside[0])
        if origin is Literal:
            return {"enum": list(inside)}
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(each) for each in inside]}
        if origin is list or (origin is tuple and inside[1:] == (...,)):
            return {"type": "array", "items": self.of(inside[0])}
        if origin is dict and inside[0] is str:
            return {"type": "object", "additionalProperties": self.of(inside[1])}
        raise TypeError(f"no JSON Schema for {kind}")

    def _class(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if name not in self.found:
            self.found[name] = {}  # so that a class within itself ends
            self.found[name] |= self._typed_dict(kind) if is_typeddict(kind) else self._attrs(kind)
        return {"$ref": f"#/$defs/{name}"}

    def _attrs(self, kind: type) -> dict[str, Any]:
        hints = get_type_hints(kind, include_extras=True)
        attributes = fields(kind)
        return {
            "type": "object",
            "description": inspect.getdoc(kind) or "",
            "properties": {each.name: self.of(hints[each.name]) for each in attributes},
            "required": [each.name for each in attributes if each.default is NOTHING],
            "additionalProperties": False,
        }

    def _typed_dict(self, kind: type) -> dict[str, Any]:
        return {
            "type": "object",
            "description": inspect.getdoc(kind) or "",
            "properties": {name: self.of(hint) for name, hint in get_type_hints(kind).items()},
        }
