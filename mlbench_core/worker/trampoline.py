"""Runs a trial so that its steps are called from the top of the program, whatever the depth of the code that asks for them.

TensorFlow walks the whole Python stack, lines and all, whenever an operation runs eagerly (`StackTrace::Capture`, up to 30
frames); a call of a `tf.function` is one such operation. Six frames between the worker's main and its step cost the MLP's
inference 1 % of its 0.2 ms: users would see a framework slowed down by its benchmark. So whatever times steps is a generator
that yields the call, and the call is made where the generator's own frames are not on the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")
Asking = Generator[Callable[[], Any], Any, T]
"""Part of a trial: yields calls, is sent what they return, and returns a T."""


def trampoline(part: Asking[T]) -> T:
    """Makes the calls that `part` yields and sends back what they return, or throws in what they raise, to its end."""
    try:
        call = next(part)
        while True:
            try:
                returned = call()
            except Exception as error:
                call = part.throw(error)
            else:
                call = part.send(returned)
    except StopIteration as end:
        result: T = end.value
        return result
