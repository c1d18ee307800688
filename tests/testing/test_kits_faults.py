"""Each kit fails on planted faults, in the test that is for them, with a message that says what to do.

The kits are run as authors run them: a package with faults, a test file with a class for each, and pytest in a process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = """
import itertools
import mlbench_core.models.mlp
from attrs import evolve, frozen
from mlbench_core.architecture import Architecture, Constant, Dense, Layer, Parameter, Sequential
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.models.mlp import mlp
from mlbench_core.trial import ModelSource
calls = itertools.count(1)

@frozen
class Odd(Layer):
    wrong: str
    def parameters(self, shape):
        return (Parameter("gain", shape[-1:], Constant(float("inf") if self.wrong == "init" else 1.0)),)

def on_numpy():
    import numpy as np
    from mlbench_core.reference.lowering import lower
    from mlbench_core.reference.module import Module, variables
    class OddModule(Module):
        def __init__(self, wrong, gain):
            self.wrong, self.gain = wrong, gain
        def forward(self, x, mode):
            self.x = x
            if self.wrong in ("idle", "init"):
                return x
            return (x * 0 if self.wrong == "blind" else x) * self.gain.value
        def backward(self, dy):
            sums = (dy * self.x).sum(tuple(range(dy.ndim - 1)))
            self.gain.grad = sums * {"idle": 0, "init": 0, "slope": 0.5, "ascends": -1}.get(self.wrong, 1)
            return dy * (0 if self.wrong == "blind" else 1) * self.gain.value
    @lower.register
    def _(layer: Odd, site):
        return OddModule(layer.wrong, **variables(layer, site))

def around(wrong):
    def factory(shape, classes):
        made = mlp(shape, classes, hidden=(8,))
        root = Sequential({"first": Dense(8), "odd": Odd(wrong), "head": Dense(classes)})
        return evolve(made, name="odd", root=root)
    return factory

init, idle, blind, slope = around("init"), around("idle"), around("blind"), around("slope")

def other_classes(shape, classes):
    return mlp(shape, 10)
def at_each_call(shape, classes):
    return mlp(shape, classes, hidden=(next(calls),))
def rising(shape, classes):
    made = mlp(shape, classes, hidden=(8,))
    return evolve(made, optimizer=evolve(made.optimizer, learning_rate=1e3))
def right(shape, classes):
    return mlp(shape, classes, hidden=(8,))
not_a_function = 3

def descriptor(factory, **more):
    given = {"name": "x", "takes": "vector", "description": ""} | more
    return ModelDescriptor(source=ModelSource(factory, {"numpy": "faults:on_numpy"}), **given)
"""

MODEL_TESTS = {
    "Right": ("descriptor('faults:right')", {}),
    "Field": (
        "descriptor('faults:right', takes='picture')",
        {"test_descriptor": "takes is 'picture', not one of image"},
    ),
    "Names": (
        "descriptor('faults:gone')",
        {"test_import_strings_name_functions": "write it as 'package.module:function'"},
    ),
    "NoFunction": (
        "descriptor('faults:not_a_function')",
        {"test_import_strings_name_functions": "is a int, and is called"},
    ),
    "Heavy": (
        "descriptor('heavy:right')",
        {"test_the_parent_imports_no_framework": "imports mlbench_toy: import it in the"},
    ),
    "Classes": ("descriptor('faults:other_classes')", {"test_the_factory_makes_what": "2 classes, and made one of 10"}),
    "Tokens": (
        "descriptor('faults:right', takes='tokens')",
        {"test_the_factory_makes_what": "needs input_kind 'tokens', not 'float'"},
    ),
    "Chance": ("descriptor('faults:at_each_call')", {"test_the_factory_makes_the_same": "another model at each call"}),
    "Init": (
        "descriptor('faults:init')",
        {"test_initial_weights": "initial values of odd.gain are not finite: see its Param"},
    ),
    "Idle": ("descriptor('faults:idle')", {"test_every_parameter": "no gradient reaches odd.gain: take it out"}),
    "Blind": ("descriptor('faults:blind')", {"test_logits_are_finite": "the output does not depend on the input"}),
    "Slope": ("descriptor('faults:slope')", {"test_gradients_are": "the reference's backward is off by"}),
    "Rises": ("descriptor('faults:rising')", {"test_it_learns": "in 20 steps on one batch the loss went from"}),
    "Unknown": (
        "descriptor('faults:right')\n    frameworks = ('none',)",
        {"test_parity": "none: frameworks: unknown framework"},
    ),
}

DATA = """
import itertools
import numpy as np
from attrs import evolve
from mlbench_core.data.dataset import DataRequest, Dataset, no_files
from mlbench_core.hookspecs import DatasetDescriptor
calls = itertools.count()

def right(request):
    request.refuse_argument("x")
    x, y = np.arange(60.0).reshape(20, 3), np.arange(20) % 2
    return Dataset(name="x", kind="vector", x_train=x, y_train=y, x_val=x, y_val=y, num_classes=2)
def nothing(request): return None
def labels(request):
    data = right(request)
    return evolve(data, y_train=data.y_train + 1)
def classes(request): return evolve(right(request), num_classes=3)
def images(request):
    x = np.zeros((20, 4, 4, 1))
    return evolve(right(request), kind="image", x_train=x, x_val=x)
def chance(request):
    data = right(request)
    return evolve(data, x_train=data.x_train + next(calls))
def ignores(request): return right(evolve(request, argument=""))
def missing(request): return ["no-such-file"]
def no_list(request): return "file"

def descriptor(load, **more):
    given = {"name": "x", "kind": "vector", "description": "", "files": "faults:no_files"} | more
    return DatasetDescriptor(load=load, **given)
"""

DATA_TESTS = {
    "Right": ("descriptor('faults:right')", {}),
    "Nothing": ("descriptor('faults:nothing')", {"test_data_can_be": "returned a NoneType, not a data.Dataset"}),
    "Labels": ("descriptor('faults:labels')", {"test_data_can_be": "count labels from 0"}),
    "Classes": ("descriptor('faults:classes')", {"test_every_class": r"no sample of class \[2\]: lower num_classes"}),
    "Kind": (
        "descriptor('faults:images')",
        {"test_its_kind": "the kind is 'image', and the descriptor promises 'vector'"},
    ),
    "Chance": ("descriptor('faults:chance')", {"test_loading_again": "x_train differs when it is loaded again"}),
    "Ignores": ("descriptor('faults:ignores')", {"test_an_argument": "call request.refuse_argument"}),
    "Missing": (
        "descriptor('faults:right', files='faults:missing')",
        {"test_its_files": "names no-such-file, which is not"},
    ),
    "NoList": (
        "descriptor('faults:right', files='faults:no_list')",
        {"test_its_files": "returned 'file', not a list of paths"},
    ),
    "Anew": ("descriptor('faults:chance', files=None)", {"test_it_is_prepared": "prepared anew each time"}),
}

LOSSES = """
import itertools
import numpy as np
from attrs import frozen
from mlbench_core.architecture import Loss
from mlbench_core.hookspecs import LossDescriptor
from mlbench_core.reference.losses import cross_entropy, make_loss
from mlbench_core.trial import LossSource
calls = itertools.count()

@frozen(kw_only=True)
class Mine(Loss):
    name: str = "x"
    kind: str = "right"
    chance: int = 0

def on_numpy(loss):
    def function(logits, labels):
        value, gradient = cross_entropy(logits, labels)
        if loss.kind == "half":
            return value, gradient / 2
        if loss.kind == "summed":
            return len(labels) * value, len(labels) * gradient
        if loss.kind == "overflows":
            exponentials = np.exp(logits)
            return (np.log(exponentials.sum(1)) - logits[np.arange(len(labels)), labels]).mean(), gradient
        if loss.kind == "astray":
            return cross_entropy(logits, (labels + 1) % logits.shape[1])
        return value, gradient
    return function

make_loss.register(Mine, on_numpy)

def right(): return Mine()
def half(): return Mine(kind="half")
def summed(): return Mine(kind="summed")
def overflows(): return Mine(kind="overflows")
def astray(): return Mine(kind="astray")
def other_name(): return Mine(name="y")
def chance(): return Mine(chance=next(calls))

def descriptor(loss):
    return LossDescriptor(name="x", source=LossSource(loss, {"numpy": "faults"}), description="")
"""

LOSS_TESTS = {
    "Right": ("descriptor('faults:right')", {}),
    "Half": ("descriptor('faults:half')", {"test_its_gradient": "in NumPy is off by 5.0e-01 of its largest slope"}),
    "Summed": ("descriptor('faults:summed')", {"test_it_is_a_mean": "as one: it must be the mean over the samples"}),
    "Overflows": ("descriptor('faults:overflows')", {"test_large_logits": "overflow encountered in exp|loss inf"}),
    "Astray": ("descriptor('faults:astray')", {"test_it_learns": "the share of right answers went from"}),
    "OtherName": ("descriptor('faults:other_name')", {"test_the_function": "called 'y', and its descriptor 'x'"}),
    "Chance": ("descriptor('faults:chance')", {"test_the_function": "makes another one at each call"}),
}

REPORTERS = """
import itertools
from pathlib import Path
from mlbench_core.hookspecs import ReporterDescriptor
calls = itertools.count()

def right(results, folder):
    path = folder / "x.txt"
    path.write_text(str(len(results.records)))
    return [path]
def nothing(results, folder): right(results, folder)
def says(results, folder): return [folder / "y.txt"]
def strays(results, folder):
    Path("stray.txt").write_text("")
    return right(results, folder)
def silent(results, folder):
    (folder / "z.txt").write_text("")
    return right(results, folder)
def changes(results, folder):
    results.config["models"] = ["none"]
    return right(results, folder)
def again(results, folder):
    path = folder / f"{next(calls)}.txt"
    path.write_text("")
    return [path]
def prints(results, folder):
    print("written")
    return right(results, folder)
def first(results, folder):
    results.records[0]
    return right(results, folder)

def descriptor(write):
    return ReporterDescriptor("x", write, "")
"""

REPORTER_TESTS = {
    "Right": ("descriptor('faults:right')", {}),
    "Nothing": (
        "descriptor('faults:nothing')",
        {"test_it_writes": "returned None, not a list of the paths that it wrote"},
    ),
    "Says": ("descriptor('faults:says')", {"test_it_writes": "it says that it wrote .*y.txt, which does not exist"}),
    "Strays": ("descriptor('faults:strays')", {"test_it_writes": "it wrote stray.txt where it was started"}),
    "Silent": ("descriptor('faults:silent')", {"test_it_says_all": "it wrote z.txt and does not return it"}),
    "Changes": (
        "descriptor('faults:changes')",
        {"test_it_changes_no": "it changed the results, which the next reporter gets"},
    ),
    "Again": (
        "descriptor('faults:again')",
        {"test_it_can_write_again": "has its files written again, under the same names"},
    ),
    "Prints": ("descriptor('faults:prints')", {"test_it_prints": "it prints 'written': mlbench says what was written"}),
    "First": (
        "descriptor('faults:first')",
        {"test_it_writes_into_its_folder[empty]": "IndexError: tuple index out of range"},
    ),
}

EXECUTORS = """
from attrs import evolve
from mlbench_core.executors import local
from mlbench_core.hookspecs import ExecutorDescriptor
machine = local.machine

def right(request, setting):
    return (yield from local.run(request, setting))
def no_generator(request, setting): return None
def deaf(request, setting):
    return (yield from local.run(request, evolve(setting, on_event=lambda event: None)))
def logless(request, setting):
    with_log = evolve(setting, log=setting.log.with_name("elsewhere"))
    return (yield from local.run(request, with_log))
def no_turns(request, setting):
    running = local.run(request, setting)
    while True:
        try:
            next(running)
        except StopIteration as end:
            return end.value
        yield from ()
def mute(request, setting):
    found = yield from local.run(request, setting)
    return evolve(found, reason="")
def patient(request, setting):
    return (yield from local.run(request, evolve(setting, time_limit_s=5 + 2 * setting.time_limit_s)))
def raises(request, setting):
    found = yield from local.run(request, setting)
    if found.status != "ok":
        raise RuntimeError(found.reason)
    return found
def thin(): return {"cpu": "x"}
def no_json(): return machine() | {"gpus": (1, 2)}

def descriptor(run, machine="faults:machine"):
    return ExecutorDescriptor(name="x", run=run, machine=machine, description="")
"""

EXECUTOR_TESTS = {
    "Right": ("descriptor('faults:right')", {}),
    "NoGenerator": (
        "descriptor('faults:no_generator')",
        {"test_a_framework_is": "returned a NoneType, not a generator: see Run"},
    ),
    "Deaf": ("descriptor('faults:deaf')", {"test_events_are": "phases and info are missing"}),
    "Logless": ("descriptor('faults:logless')", {"test_what_a_worker_prints": "it takes all that the worker prints"}),
    "NoTurns": ("descriptor('faults:no_turns')", {"test_turns_are": "it never yielded: yield at each event 'turn'"}),
    "Mute": ("descriptor('faults:mute')", {"test_what_is_not_offered": "the reason is empty: nobody could mend it"}),
    "Raises": (
        "descriptor('faults:raises')",
        {"test_what_goes_wrong": "RuntimeError: cannot load 'no_such_module:model'"},
    ),
    "Thin": (
        "descriptor('faults:right', 'faults:thin')",
        {"test_the_machine": "the facts lack cpu_count, gpus, memory_bytes"},
    ),
    "NoJson": ("descriptor('faults:right', 'faults:no_json')", {"test_the_machine": "the facts do not survive JSON"}),
}


@pytest.mark.parametrize(
    ("kit", "faults", "classes"),
    [
        ("models.ModelConformance", MODELS, MODEL_TESTS),
        ("datasets.DatasetConformance", DATA, DATA_TESTS),
        ("losses.LossConformance", LOSSES, LOSS_TESTS),
        ("reporters.ReporterConformance", REPORTERS, REPORTER_TESTS),
        ("executors.ExecutorConformance", EXECUTORS, EXECUTOR_TESTS),
    ],
    ids=["models", "data sets", "losses", "reporters", "executors"],
)
@pytest.mark.long
def test_faults_are_found(
    kit: str, faults: str, classes: dict[str, tuple[str, dict[str, str]]], tmp_path: Path
) -> None:
    module, name = kit.split(".")
    (tmp_path / "faults.py").write_text(faults)
    (tmp_path / "heavy.py").write_text("import mlbench_toy\nfrom faults import right\n")
    head = f"from faults import descriptor as make\nfrom mlbench_core.testing.{module} import {name}\n"
    bodies = [
        f"class Test{fault}({name}):\n    descriptor = make{made.removeprefix('descriptor')}\n"
        for fault, (made, _) in classes.items()
    ]
    (tmp_path / "test_faults.py").write_text(head + "\n".join(bodies))
    wanted = {
        "Right": "not test_parity",
        **{fault: " or ".join(tests) for fault, (_, tests) in classes.items() if tests},
    }
    chosen = " or ".join(f"(Test{fault} and ({tests.partition('[')[0]}))" for fault, tests in wanted.items())
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-k", chosen, "test_faults.py"]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=variables | {"COLUMNS": "400"},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert "TestRight" not in "".join(lines), done.stdout
    assert "error" not in done.stdout.splitlines()[-1], done.stdout
    for fault, (_, tests) in classes.items():
        for test, said in tests.items():
            found = [line for line in lines if f"::Test{fault}::{test}" in line]
            assert found, f"{fault} passes {test}:\n{done.stdout[-3000:]}"
            assert re.search(said, found[0]), found[0]
