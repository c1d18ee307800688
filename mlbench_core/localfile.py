"""`mlbenchfile.py`, the plugin that needs no packaging, and the folder it lies in, whose modules it may import by name.

Such modules have the names that their authors gave them, so those of two folders can meet in one process. Hence the modules of
one folder at a time are known to the interpreter: those of the folder that was entered last.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

LOCAL = "mlbenchfile"
"""The module's name, and what MLBENCH_DISABLE_PLUGINS calls it."""

_entered: LocalFolder | None = None


class LocalFolder:
    """A folder with an `mlbenchfile.py`, and what was imported from it while it was the one entered."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._modules: dict[str, ModuleType] = {}
        self._foreign: frozenset[str] = frozenset()

    @property
    def file(self) -> Path:
        """The `mlbenchfile.py` itself."""
        return self.path / f"{LOCAL}.py"

    def load(self) -> ModuleType:
        """The module `mlbenchfile`. Enters the folder."""
        enter(self)
        with _from_source():
            return importlib.import_module(LOCAL)

    @contextmanager
    def as_it_is_now(self) -> Iterator[None]:
        """Inside, what is imported from the folder is what its files hold now, whatever was imported from it before."""
        enter(LocalFolder(self.path))
        try:
            with _from_source():
                yield
        finally:
            enter(self)

    def _begin(self) -> None:
        sys.modules.pop(LOCAL, None)  # somebody else's of that name
        self._foreign = frozenset(name.partition(".")[0] for name in sys.modules)
        # First on the path, as in a worker, which Python starts with its working directory there.
        sys.path.insert(0, str(self.path))
        sys.modules.update(self._modules)
        importlib.invalidate_caches()

    def _end(self) -> None:
        with suppress(ValueError):  # somebody else has taken it out
            sys.path.remove(str(self.path))
        mine = [name for name, module in sys.modules.items() if self._holds(name, module)]
        self._modules = {name: sys.modules.pop(name) for name in mine}

    def _holds(self, name: str, module: ModuleType) -> bool:
        """Whether a module was imported from the folder since it was entered; an environment inside it is none of its own."""
        if name.partition(".")[0] in self._foreign:
            return False
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        place = next((Path(place) for place in places if place), None)
        return place is not None and place.is_relative_to(self.path) and "site-packages" not in place.parts


@contextmanager
def _from_source() -> Iterator[None]:
    """No bytecode is kept: Python takes it for current if a file was edited within a second and is as long as before."""
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept


def enter(folder: LocalFolder | None) -> None:
    """Makes the modules of a folder those that imports find, and those of the folder before unknown; None: of no folder."""
    global _entered
    if folder is _entered:
        return
    if _entered is not None:
        _entered._end()
    if folder is not None:
        folder._begin()
    _entered = folder
