"""What each hook of a framework must answer, so that a broken one fails under its own name, wherever it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from mlbench_core.descriptors import fault
from mlbench_core.errors import MlbenchError, in_one_line
from mlbench_core.hookspecs import FrameworkInfo, FrameworkSpec, Gradients
from mlbench_core.record import MemoryReading

HOOKS = tuple(name for name in vars(FrameworkSpec) if not name.startswith("_"))
"""Of a framework plugin, in the contract's order."""


@frozen
class Answer:
    """wanted: in words. fits: whether a value is that."""

    wanted: str
    fits: Callable[[Any], bool]


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for both in value.items() for text in both)


def _arrays(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(array, np.ndarray) for array in value.values())


SOMETHING = Answer("something other than None", lambda value: value is not None)
TRUE = Answer("True", lambda value: value is True)
TEXTS = Answer("a dict of texts", _texts)
ANSWERS = {
    "worker_environment": TEXTS,
    "framework_info": Answer(
        "a FrameworkInfo with fields as documented", lambda value: isinstance(value, FrameworkInfo) and not fault(value)
    ),
    "build_model": Answer("a model, or None for one that it cannot build", lambda _: True),
    "inference_mode": Answer("a context manager", lambda value: hasattr(type(value), "__enter__")),
    "synchronize": TRUE,
    "to_numpy": Answer("a NumPy array", lambda value: isinstance(value, np.ndarray)),
    "gradients": Answer("a Gradients", lambda value: isinstance(value, Gradients)),
    "read_weights": Answer("a dict of NumPy arrays", _arrays),
    "memory_probe": Answer(
        "a list of MemoryReading",
        lambda value: isinstance(value, list) and all(isinstance(each, MemoryReading) for each in value),
    ),
    "read_knobs": TEXTS,
    "compilations": Answer("an int", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "save": Answer("a Path", lambda value: isinstance(value, Path)),
    "close_session": TRUE,
}
"""Any other hook answers SOMETHING."""


def held(hook: str, function: Callable[..., Any], called: set[str]) -> Callable[..., Any]:
    """The plugin's function; adds `hook` to `called`. Raises AssertionError, which names the hook, if it raises what is no
    MlbenchError, or answers what it must not."""
    answer = ANSWERS.get(hook, SOMETHING)

    def call(*values: Any) -> Any:
        called.add(hook)
        try:
            found = function(*values)
        except MlbenchError:
            raise
        except Exception as error:
            raise AssertionError(f"the hook {hook} raised {in_one_line(error)}") from error
        assert answer.fits(found), f"the hook {hook} returned {found!r:.80}, and must return {answer.wanted}"
        return found

    return call
