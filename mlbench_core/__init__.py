"""mlbench: compare machine-learning frameworks on models proven identical."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlbench_core.config import Config
    from mlbench_core.hookspecs import hookimpl
    from mlbench_core.results import Results
    from mlbench_core.runner import Suite

    __version__: str

_HOMES = {
    "Suite": "mlbench_core.runner",
    "Config": "mlbench_core.config",
    "Results": "mlbench_core.results",
    "hookimpl": "mlbench_core.hookspecs",
}

__all__ = ["Config", "Results", "Suite", "__version__", "hookimpl"]


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: `import mlbench_core` alone imports nothing heavy."""
    if name == "__version__":
        from importlib.metadata import version  # takes longer to import than the command line to start

        return version("mlbench-core")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
