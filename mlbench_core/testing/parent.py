"""What the kits for models, data sets, reporters and executors share: a descriptor is right, and its code fits the parent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from typing import Any, ClassVar

from mlbench_core.descriptors import fault
from mlbench_core.errors import PluginError
from mlbench_core.installed import CORE, FRAMEWORKS, find, normalised, versions
from mlbench_core.plugins import attribute


class DescriptorConformance:
    """descriptor: what your hook registers."""

    descriptor: ClassVar[Any]

    @classmethod
    def functions(cls) -> list[str]:
        """The import strings of the descriptor that the parent follows."""
        raise NotImplementedError

    def test_descriptor(self) -> None:
        wrong = fault(self.descriptor)
        assert not wrong, f"{self.descriptor.name!r} cannot be used: {wrong}"

    def test_import_strings_name_functions(self) -> None:
        for path in self.functions():
            try:
                function = attribute(path)
            except PluginError as error:
                raise AssertionError(f"{error}: write it as 'package.module:function'") from None
            assert callable(function), f"{path!r} is a {type(function).__name__}, and is called as a function"

    def test_the_parent_imports_no_framework(self) -> None:
        found = sorted(imported_by(path.partition(":")[0] for path in self.functions()) & framework_modules())
        assert not found, (
            f"importing {', '.join(self.functions())} imports {', '.join(found)}: import it in the functions"
        )


def imported_by(modules: Iterable[str]) -> set[str]:
    """The top-level modules that a fresh process has after importing these."""
    code = (
        "import sys, importlib\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        "sys.stdout.write('\\n'.join({'', *(name.partition('.')[0] for name in sys.modules)}))"
    )
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, f"a fresh process cannot import it: {done.stderr.strip().splitlines()[-1]}"
    return set(done.stdout.splitlines())


def framework_modules() -> set[str]:
    """The top-level modules of the installed framework plugins, and of what they need beyond the core's own needs."""
    plugins = [plugin for plugin in find(FRAMEWORKS).enabled if plugin.distribution != CORE]
    common = {normalised(name) for name in versions(CORE)}
    needs = {normalised(name) for plugin in plugins for name in versions(plugin.distribution)} - common
    own = {plugin.module.partition(".")[0] for plugin in plugins} - {"mlbench_core"}
    return own | {
        module for module, owners in packages_distributions().items() if {normalised(owner) for owner in owners} & needs
    }
