"""Values -> plain JSON data and back."""

from __future__ import annotations

from typing import Any, TypeVar

import cattrs

T = TypeVar("T")
_converter = cattrs.Converter(forbid_extra_keys=True)


def to_json(value: object) -> Any:
    """The value as plain dicts, lists, strings and numbers."""
    return _converter.unstructure(value)


def from_json(data: Any, kind: type[T]) -> T:
    """The inverse of `to_json`. Raises cattrs' errors on data that does not fit, an unknown key included."""
    return _converter.structure(data, kind)
