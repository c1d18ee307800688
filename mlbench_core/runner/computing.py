"""What takes part in a proof, as one text: sources and versions, read in the interpreter that computes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlbench_core.fingerprint import of_modules
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.installed import FRAMEWORKS, REFERENCE, find, versions
from mlbench_core.runner.interpreters import told_by

WORKER = "mlbench_core.worker.parity"
"""Where a worker's verification begins: all that it imports of the core takes part in the proof."""
ASKED = """
import json, sys
from mlbench_core.runner.computing import facts
framework, modules = json.loads(sys.argv[1])
print("\\n" + json.dumps(facts(framework, modules)))
"""


def computing(
    python: str, framework: str, models: Iterable[ModelDescriptor], folder: Path = Path()
) -> Mapping[str, str]:
    """By model, a text that changes with all that computes when the framework is verified with it in that interpreter.

    folder: where workers start. Empty if the interpreter does not answer: then nothing is known of its files.
    """
    modules = {model.name: _modules(model, framework) for model in models}
    if python == sys.executable:
        return facts(framework, modules)
    told, _ = told_by(python, ASKED, json.dumps([framework, modules]), folder=folder)
    return told


def facts(framework: str, modules: Mapping[str, list[str]]) -> dict[str, str]:
    """By model, what `computing` gives, of this interpreter. modules: by model, those that its import strings name."""
    plugin = find(FRAMEWORKS).usable[framework]
    installed = versions(plugin.distribution)
    return {
        model: json.dumps([of_modules(WORKER, plugin.module, *names), installed, sys.executable])
        for model, names in modules.items()
    }


def _modules(model: ModelDescriptor, framework: str) -> list[str]:
    """The modules that the import strings of a model name for a framework."""
    source = model.source
    strings = [source.factory, source.lowerings.get(framework), source.native.get(framework)]
    for trained, function in ((source.optimizer, "rule"), (source.loss, "loss")):
        if trained is not None:
            lowerings = trained.lowerings
            strings += [getattr(trained, function), lowerings.get(framework), lowerings.get(REFERENCE)]
    return [string.partition(":")[0] for string in strings if string]
