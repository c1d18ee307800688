"""Several devices that share each batch, on two virtual CPU devices: half of it each is as all of it on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlbench_core.architecture import Optimizer
from mlbench_core.trial import Plan
from mlbench_tf import memory, plugin, settings

PROGRAM = Path(__file__).with_name("several_devices.py")
LOCK_STEP = 1e-9  # float64 over ten steps; sums over halves round otherwise than sums over wholes


def run(*cases):
    """What the program prints of these cases; of all but the long one without any."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [sys.executable, PROGRAM, *cases]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {case: result for line in lines for case, result in line.items()}


@pytest.fixture(scope="module")
def found():
    return run()


@pytest.mark.parametrize("case", ["mlp", "bert-tiny", "narrow", "mlp, adamw", "mlp, eager", "narrow, eager"])
def test_two_with_half_the_batch_are_one_with_all_of_it(found, case):
    errors = found[f"lock-step {case}"]
    assert max(errors.values()) <= LOCK_STEP, errors


@pytest.mark.long
def test_so_are_two_with_the_whole_of_resnet18():
    (errors,) = run("lock-step resnet18").values()
    assert max(errors.values()) <= LOCK_STEP, errors


def test_statistics_over_halves_would_be_seen(found):
    errors = found["unsynchronized"]
    assert min(errors.values()) > 1e-4, errors


def test_what_is_not_a_step_is_as_on_one_device(found):
    hooks = found["hooks"]
    assert hooks["gradients"] <= 1e-12
    assert hooks["input_gradients"] <= 1e-12
    assert hooks["logits"] <= 1e-12
    assert hooks["untouched"] == 0, "gradients leave running statistics as they were"
    assert hooks["reload"] == 0
    assert hooks["replicas"] == 0, "every device has the same weights, statistics and optimiser"
    assert hooks["tracings"] == 2, "the step and the prediction, once each"
    assert hooks["memory"] == 0


def test_knobs_tell_of_the_replicas(found):
    knobs, of_one = found["hooks"]["knobs"], found["hooks"]["knobs_of_one"]
    assert knobs["strategy"] == "MirroredStrategy"
    assert knobs["replicas"] == "CPU:0, CPU:1"
    assert knobs["batch_norm"] == "over the whole batch"
    assert "strategy" not in of_one


def test_an_overflow_on_one_device_skips_the_step_on_all(found):
    overflow = found["one overflow"]
    assert overflow["skipped"] == 0
    assert overflow["scale"] == "16384, dynamic"
    assert overflow["moved"] > 0
    assert overflow["replicas"] == 0


def test_each_device_drops_places_of_its_own(found):
    """Equal seeds would drop the same places of both halves."""
    seeds = found["seeds"]
    assert seeds["seeds"], "no layer with a seed was found"
    assert all(first[0] != second[0] and first[1] == second[1] for first, second in seeds["seeds"])
    assert seeds["training"] > 1e-3
    assert seeds["evaluation"] == 0
    assert seeds["replicas"] == 0


def test_refusals_say_what_to_do(found):
    said = found["refusals"]
    assert said["odd batch"] == "tensorflow: a batch of 3 cannot be shared equally by 2 devices"
    assert "needs a process of its own" in said["more than at the start"]
    assert said["compiled"].endswith("use execution graph")
    assert "sees no device 'mps'" in said["mps"]
    assert "use 'cpu'" in said["mps"]


def test_several_devices_are_offered():
    assert settings.framework_info().data_parallel == ("cpu", "cuda")


@pytest.mark.parametrize(
    ("device", "compiles"), [("cpu", True), ("cuda:0", True), ("cuda:0-1", True), ("cpu*2", False)]
)
def test_a_process_for_several_cpus_offers_what_they_can(device, compiles, monkeypatch):
    """So `execution: all` plans nothing there that would be refused."""
    plan = Plan(
        device=device,
        precision="fp32",
        execution="default",
        batch_size=2,
        optimizer=Optimizer(name="sgd", learning_rate=0.1),
        threads=1,
        seed=0,
        task="train",
    )
    for name, value in plugin.worker_environment(plan).items():
        monkeypatch.setenv(name, value)
    assert ("compiled" in settings.framework_info().executions) == compiles


def test_memory_is_added_up_over_gpus(monkeypatch):
    """Planted counters: this machine may have no GPU."""
    counters = {"GPU:0": {"current": 3, "peak": 5}, "GPU:1": {"current": 4, "peak": 9}}
    monkeypatch.setattr(memory.tf.config.experimental, "get_memory_info", counters.__getitem__)
    assert {one.name: one.bytes for one in memory.readings("/GPU:0", 2)} == {"live_tensors": 7, "live_tensors_peak": 14}
    assert {one.name: one.bytes for one in memory.readings("/GPU:0")} == {"live_tensors": 3, "live_tensors_peak": 5}
