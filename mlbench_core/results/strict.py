"""JSON data of unknown origin -> values of the declared types, or the place where it does not fit.

`serialize.from_json` trusts its data: what a worker says of itself, or a file of the cache. Here nothing is converted: a text
is no number, 1.5 no count, and no key is unknown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from operator import eq
from typing import Any, TypeVar, get_args, get_origin

import cattrs
from cattrs.errors import IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn
from cattrs.gen.typeddicts import make_dict_structure_fn as make_typed_dict_structure_fn

from mlbench_core.json_schema import NON_FINITE
from mlbench_core.machine.known import GpuFacts, MachineFacts
from mlbench_core.thresholds import Measure

T = TypeVar("T")

LARGEST_COUNT = 2**63
"""Counts at or beyond this are no count of anything here, and arithmetic with them fails."""
MOST_KEPT = 1_000
"""Values of a class of few that are kept to be used again."""


class MisfitError(ValueError):
    """Data that do not fit; the message says where and why."""


def structure(data: Any, kind: type[T], place: str) -> T:
    """The data as a value of `kind`. Raises MisfitError that names the first place, below `place`, that does not fit."""
    try:
        return _converter(careful=False).structure(data, kind)
    except Exception:  # whatever it was: the careful converter says where
        return _carefully(data, kind, place)


def _carefully(data: Any, kind: type[T], place: str) -> T:
    try:
        return _converter(careful=True).structure(data, kind)
    except Exception as error:
        wrong = cattrs.transform_error(error, path=place, format_exception=_why)
        raise MisfitError(wrong[0] if wrong else f"{type(error).__name__} @ {place}") from None


def _why(error: BaseException, kind: type | None) -> str:
    if isinstance(error, MisfitError):
        return str(error)
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"has unknown keys: {', '.join(sorted(map(repr, error.extra_fields)))}"
    return f"is not {_words(kind)}"


def _words(kind: object) -> str:
    text = kind.__name__ if isinstance(kind, type) else str(kind)
    for module in ("mlbench_core.record.", "mlbench_core.trial.", "typing."):
        text = text.replace(module, "")
    return text


def _scalar(kind: type) -> Any:
    def check(value: Any, _: Any) -> Any:
        if type(value) is not kind or (isinstance(value, int) and abs(value) >= LARGEST_COUNT):
            raise MisfitError(f"{_short(value)} is not {NAMES[kind]}")
        return sys.intern(value) if isinstance(value, str) else value  # a name in every record is kept once

    return check


NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _float(value: Any, _: Any) -> float:
    if type(value) is float:
        return value
    if (type(value) is int and abs(value) < LARGEST_COUNT) or (type(value) is str and value in NON_FINITE):
        return float(value)
    raise MisfitError(f"{_short(value)} is not a number")


def _short(value: Any) -> str:
    text = ascii(value) if not isinstance(value, int) or abs(value) < LARGEST_COUNT else "a number beyond counting"
    return text if len(text) <= 60 else text[:57] + "..."


def _floats(values: Any, _: Any) -> list[float]:
    """A list of numbers as it is if all are floats, which raw values are: no copy of millions of them."""
    if type(values) is list and set(map(type, values)) <= {float}:
        return values
    return [_float(value, None) for value in _list(values)]


def _whole_numbers(values: Any, _: Any) -> list[int]:
    """The same of whole numbers."""
    if set(map(type, _list(values))) <= {int} and all(abs(edge) < LARGEST_COUNT for edge in _edges(values)):
        return _list(values)
    raise MisfitError("a list of something else than whole numbers")


def _edges(values: list[int]) -> tuple[int, ...]:
    return (min(values), max(values)) if values else ()


def _texts(values: Any, _: Any) -> list[str]:
    """The same of texts, each of them kept once."""
    if set(map(type, _list(values))) <= {str}:
        return list(map(sys.intern, values))
    raise MisfitError("a list of something else than texts")


def _by_text(kind: type) -> Any:
    """A hook for a mapping of texts to floats or texts."""

    def check(values: Any, _: Any) -> Any:
        if type(values) is dict and set(map(type, values.values())) <= {kind}:
            return {sys.intern(key): value for key, value in values.items()}
        raise MisfitError("a mapping to something else")

    return check


def _optional(kind: type) -> Any:
    """A hook for a scalar that may be absent."""
    inside = _float if kind is float else _scalar(kind)
    return lambda value, _: None if value is None else inside(value, _)


def _once(kind: type, inside: Any) -> Any:
    """A hook for a class of few values: equal data are one value, made once. Types count: True is 1, and no count."""
    made: dict[Any, Any] = {}

    def structure_once(data: Any, _: Any) -> Any:
        key = (tuple(data.items()), tuple(map(type, data.values())))
        if key not in made:
            if len(made) >= MOST_KEPT:
                made.clear()
            made[key] = inside(data, kind)
        return made[key]

    return structure_once


def _list(values: Any) -> list[Any]:
    if type(values) is not list:
        raise MisfitError(f"{_short(values)} is not a list")
    return values


def _items(converter: cattrs.Converter) -> Any:
    """A factory of hooks for lists and tuples of any length that stop at the first item that does not fit: cattrs looks at all,
    and keeps an exception of each, which for a million takes minutes and gigabytes. A text is no list of its letters."""

    def factory(kind: Any) -> Any:
        made, inside = get_origin(kind), get_args(kind)[0]
        return lambda values, _: made(_each(converter, inside, enumerate(_list(values)), kind))

    return factory


def _values(converter: cattrs.Converter) -> Any:
    """The same for mappings of texts."""

    def factory(kind: Any) -> Any:
        inside = get_args(kind)[1]

        def check(values: Any, _: Any) -> Any:
            if type(values) is not dict:
                raise MisfitError(f"{_short(values)} is not a mapping")
            return dict(zip(values, _each(converter, inside, values.items(), kind), strict=True))

        return check

    return factory


def _each(converter: cattrs.Converter, kind: Any, items: Iterable[tuple[int | str, Any]], whole: Any) -> Iterator[Any]:
    for place, item in items:
        try:
            yield converter.structure(item, kind)
        except Exception as error:
            error.add_note(IterableValidationNote(f"at {place!r}", place, kind))
            raise IterableValidationError("an item does not fit", [error], whole) from None


def _many(kind: Any) -> bool:
    return get_origin(kind) is list or (get_origin(kind) is tuple and get_args(kind)[1:] == (...,))


def _mapping(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is dict


def _facts(kind: type, converter: cattrs.Converter, careful: bool) -> Any:
    """A hook for facts; executors of others may know more of them."""
    inside = make_typed_dict_structure_fn(
        kind, converter, _cattrs_forbid_extra_keys=False, _cattrs_detailed_validation=careful
    )

    def check(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise MisfitError(f"{_short(value)} is not a mapping of facts")
        return inside(value, kind)

    return check


def _hasten(converter: cattrs.Converter) -> None:
    """One hook per list, mapping or optional scalar instead of one per item: a file may hold 100,000 records. A hook may refuse
    what would do: then the careful converter decides."""
    hooks: dict[Any, Any] = {
        list[float]: _floats,
        list[int]: _whole_numbers,
        list[str]: _texts,
        dict[str, float]: _by_text(float),
        dict[str, str]: _by_text(str),
        **{kind | None: _optional(kind) for kind in (int, float, bool, str)},
    }
    for kind, hook in hooks.items():
        converter.register_structure_hook_func(partial(eq, kind), hook)
    inside = make_dict_structure_fn(
        Measure, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=False
    )
    converter.register_structure_hook(Measure, _once(Measure, inside))


@cache
def _converter(*, careful: bool) -> cattrs.Converter:
    """Made when first it is asked for: each takes some milliseconds."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=careful)
    for kind in (int, str, bool):
        converter.register_structure_hook(kind, _scalar(kind))
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook_factory(_many, _items(converter))
    converter.register_structure_hook_factory(_mapping, _values(converter))
    for facts in (GpuFacts, MachineFacts):
        converter.register_structure_hook(facts, _facts(facts, converter, careful))
    if not careful:
        _hasten(converter)
    return converter
