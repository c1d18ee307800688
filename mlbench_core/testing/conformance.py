"""The conformance kit: subclass one class, name your plugin, and the tests say what differs from the reference.

In your plugin's tests::

    import my_plugin.plugin
    from mlbench_core.testing.conformance import FrameworkConformance

    class TestConformance(FrameworkConformance):
        plugin = my_plugin.plugin

Everything runs in this process, on architectures small enough for a CPU, mostly in float64: there two correct
implementations differ by rounding only, and a wrong constant stands out by ten orders of magnitude. Tests of a hook or a
precision that the plugin does not offer are skipped. The kit sets `worker_environment` before it calls any other hook, so
import the framework nowhere above the class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlbench_core.architecture import initial_weights
from mlbench_core.errors import PluginError, UnsupportedError
from mlbench_core.hookspecs import Batch
from mlbench_core.plugins import OPTIONAL_HOOKS
from mlbench_core.testing import cases, checks
from mlbench_core.testing.answers import HOOKS
from mlbench_core.testing.beside import BesideTheReference
from mlbench_core.testing.checks import Pair, assert_close
from mlbench_core.testing.driver import Driver
from mlbench_core.verify.compare import relative_error, same_bits
from mlbench_core.verify.samples import scattered_weights

STEPS = 10


class FrameworkConformance(BesideTheReference):
    """Subclass it and set `plugin` to your plugin's module, the one that your entry point names, and `device` if the plugin's
    sessions shall not run on the CPU."""

    # What the plugin says of itself.

    def test_required_hooks_are_there(self) -> None:
        try:
            Driver(self.plugin)
        except PluginError as error:
            raise AssertionError(str(error)) from None

    def test_optional_hooks_are_there(self) -> None:
        driver = Driver(self.plugin)
        missing = [hook for hook in HOOKS if hook in OPTIONAL_HOOKS - driver.hooks - self.without]
        if missing and self.unfinished:
            pytest.skip(f"the plugin does not implement {', '.join(missing)}")
        assert not missing, (
            f"the plugin lacks {', '.join(missing)}: implement it, or name it in `without` if it has nothing to say there"
        )
        there = sorted(self.without & driver.hooks)
        assert not there, f"the plugin has {', '.join(there)}: take it out of `without`"

    def test_every_hook_answers(self, driver: Driver, tmp_path: Path) -> None:
        """Each is called, and answers what the contract says; see `answers.py`."""
        batch = cases.random_batch(cases.MODELS["mlp"])
        with self.pair(driver, cases.MODELS["mlp"], precision="fp32") as pair:
            twin = pair.found
            for hook in ("memory_probe", "read_knobs", "compilations"):
                if hook in driver.hooks:
                    getattr(driver, hook)(twin.session)
            twin.weights()
            twin.load(twin.save(tmp_path / "model"))
            twin.infer(batch)
            if "inference_mode" in driver.hooks:
                with driver.inference_mode(twin.session):
                    twin.infer(batch)
            twin.train(batch)
            if "gradients" in driver.hooks:
                twin.gradients(batch)
        missed = [hook for hook in HOOKS if hook not in driver.called | (OPTIONAL_HOOKS - driver.hooks)]
        assert not missed, f"this kit never calls {', '.join(missed)}"

    def test_framework_info(self, driver: Driver) -> None:
        info = driver.info
        assert info.name, "framework_info().name is empty"
        assert info.version, "framework_info().version is empty"
        assert "cpu" in info.devices, f"devices {info.devices} lack 'cpu'"
        assert "fp32" in info.precisions, f"precisions {info.precisions} lack 'fp32', the default"
        assert info.default_execution in info.executions, f"{info.default_execution!r} is not in {info.executions}"

    @pytest.mark.parametrize("setting", ["precision", "execution", "loss"])
    def test_unknown_settings_are_refused(self, driver: Driver, setting: str) -> None:
        architecture, info = cases.MODELS["mlp"], driver.info
        plan = cases.with_no_such(setting, self.plan(architecture, "fp32", info.default_execution))
        session = driver.session(architecture, initial_weights(architecture, 0), plan)
        with pytest.raises(UnsupportedError) as caught, session:
            pass
        offered = {"precision": info.precisions, "execution": info.executions, "loss": ()}[setting]
        unnamed = [name for name in offered if name not in str(caught.value)]
        assert not unnamed, f"the message should name {unnamed} too: {caught.value}"

    def test_memory_and_knobs(self, driver: Driver) -> None:
        with self.pair(driver, cases.WIDE, precision="fp32") as pair:
            pair.found.train(cases.random_batch(pair.architecture))
            if "memory_probe" in driver.hooks:
                checks.assert_readings(driver.memory_probe(pair.found.session), pair.architecture.num_parameters)
            if "read_knobs" in driver.hooks:
                checks.assert_knobs(driver.read_knobs(pair.found.session))

    def test_synchronize_waits(self, driver: Driver) -> None:
        """After it, the value is there: what had to be waited for has been waited for."""
        with self.pair(driver, cases.WIDE, precision="fp32") as pair:
            checks.assert_waits(driver, pair)

    def test_compilations_are_counted(self, driver: Driver) -> None:
        _require(driver, "compilations")
        with self.pair(driver, cases.MODELS["mlp"], precision="fp32") as pair:
            checks.assert_nothing_compiles_again(lambda: driver.compilations(pair.found.session), pair)

    # One layer at a time.

    def test_layer_parameters(self, layer: Pair) -> None:
        checks.assert_weights_read_back(layer, np.float64)

    def test_layer_forward(self, layer: Pair) -> None:
        batch = cases.random_batch(layer.architecture)
        assert_close("logits of infer", layer.found.infer(batch), layer.expected.infer(batch), checks.FORWARD)

    def test_layer_gradients(self, driver: Driver, layer: Pair) -> None:
        _require(driver, "gradients")
        shape = (cases.BATCH, layer.architecture.num_classes)
        cotangent = np.random.default_rng(1).standard_normal(shape)
        checks.assert_same_gradients(layer, cases.random_batch(layer.architecture), cotangent)

    @pytest.mark.parametrize("name", sorted(cases.NORMALISED))
    def test_running_statistics(self, driver: Driver, name: str) -> None:
        with self.pair(driver, cases.NORMALISED[name]) as pair:
            checks.assert_lock_step(pair, steps=3)

    @pytest.mark.parametrize("name", [*sorted(cases.NORMALISED), "dropout"])
    def test_evaluation_does_not_depend_on_the_batch(self, driver: Driver, name: str) -> None:
        architecture = {**cases.NORMALISED, "dropout": cases.DROPOUT}[name]
        batch = cases.random_batch(architecture)
        with self.pair(driver, architecture, scattered_weights(architecture)) as pair:
            whole, half = pair.found.infer(batch), pair.found.infer(Batch(batch.x[:3], batch.y[:3]))
            assert_close("logits", whole, pair.expected.infer(batch), checks.FORWARD)
            assert_close("logits of half the batch", half, whole[:3], checks.FORWARD)
            checks.assert_weights_read_back(pair, np.float64)

    def test_dropout_drops(self, driver: Driver) -> None:
        _require(driver, "gradients")
        batch, rate = cases.random_batch(cases.DROPOUT), cases.DROPOUT_RATE
        with self.pair(driver, cases.DROPOUT) as pair:
            scale = pair.found.gradients(batch).output / pair.found.infer(batch)
        share = float(np.mean(scale == 0))
        # 12,000 draws of rate 0.25: the share's standard deviation is 0.004, so 0.02 is five of them.
        assert abs(share - rate) < 0.02, f"dropout of rate {rate} zeroed a share of {share:.3f}"
        kept = scale[scale != 0]
        assert_close("factor of the elements kept", kept, np.full(kept.shape, 1 / (1 - rate)), checks.FORWARD)

    # Whole models.

    @pytest.mark.parametrize("name", sorted(cases.MODELS))
    @pytest.mark.parametrize(("precision", "dtype"), [("fp32", np.float32), ("fp64", np.float64)])
    def test_model_parameters(self, driver: Driver, name: str, precision: str, dtype: Any) -> None:
        architecture = cases.MODELS[name]
        with self.pair(driver, architecture, scattered_weights(architecture), precision) as pair:
            checks.assert_weights_read_back(pair, dtype)

    @pytest.mark.parametrize("name", sorted(cases.MODELS))
    def test_model_gradients_of_the_loss(self, driver: Driver, name: str) -> None:
        _require(driver, "gradients")
        with self.pair(driver, cases.MODELS[name].without_dropout()) as pair:
            checks.assert_same_gradients(pair, cases.random_batch(pair.architecture), None)

    @pytest.mark.parametrize("rule", sorted(cases.RULES))
    @pytest.mark.parametrize("name", sorted(cases.MODELS))
    def test_lock_step(self, driver: Driver, name: str, rule: str) -> None:
        with self.pair(driver, cases.trained_with(cases.MODELS[name], rule)) as pair:
            checks.assert_lock_step(pair, STEPS)

    @pytest.mark.parametrize(("name", "rule"), [("resnet", "sgd"), ("bert", "adamw")])
    def test_lock_step_in_every_other_execution(self, driver: Driver, name: str, rule: str) -> None:
        info = driver.info
        others = [execution for execution in info.executions if execution != info.default_execution]
        if not others:
            pytest.skip(f"{info.name} offers no other execution")
        for execution in others:
            with self.pair(driver, cases.trained_with(cases.MODELS[name], rule), execution=execution) as pair:
                checks.assert_lock_step(pair, STEPS, f"{execution}: ")

    @pytest.mark.parametrize("name", sorted(cases.MODELS))
    def test_logits_in_float32(self, driver: Driver, name: str) -> None:
        batch = cases.random_batch(cases.MODELS[name])
        with self.pair(driver, cases.MODELS[name], precision="fp32", task="infer") as pair:
            logits = pair.found.infer(batch)
            assert logits.dtype == np.float32, f"fp32 logits are {logits.dtype}"
            assert_close("logits in fp32", logits, pair.expected.infer(batch), checks.SINGLE)

    def test_reduced_precisions(self, driver: Driver) -> None:
        batch = cases.random_batch(cases.MODELS["mlp"])
        elsewhere = {"tf32"} if self.device == "cpu" else set()  # offered where there is a GPU, and to the GPU alone
        for precision in sorted(set(driver.info.precisions) - {"fp32", "fp64"} - elsewhere):
            with self.pair(driver, cases.MODELS["mlp"], precision=precision) as pair:
                logits = pair.found.infer(batch)
                assert logits.dtype == np.float32, f"{precision} logits come to the host as {logits.dtype}, not float32"
                assert_close(f"logits in {precision}", logits, pair.expected.infer(batch), checks.REDUCED)
                losses = [pair.found.train(batch) for _ in range(STEPS)]
                assert losses[-1] < losses[0], f"in {precision} the loss did not fall: {losses}"
                narrow = sorted(name for name, value in pair.found.weights().items() if value.dtype != np.float32)
                assert not narrow, f"in {precision} the master weights are float32; these are not: {narrow}"

    # What a session keeps and what it does not.

    def test_gradients_change_nothing(self, driver: Driver) -> None:
        _require(driver, "gradients")
        architecture = cases.trained_with(cases.MODELS["resnet"], "sgd")
        batch = cases.random_batch(architecture)
        with self.pair(driver, architecture) as pair:
            for _ in range(3):
                before = pair.found.weights()
                pair.found.gradients(batch)
                pair.found.gradients(batch, np.ones((cases.BATCH, architecture.num_classes)))
                checks.assert_unchanged("gradients()", pair.found.weights(), before)
                # The optimiser's state is out of sight, but the next losses tell.
                assert_close("loss", pair.found.train(batch), pair.expected.train(batch), checks.STEP_LOSS)

    def test_infer_and_train_alternate(self, driver: Driver) -> None:
        architecture = cases.trained_with(cases.MODELS["resnet"], "sgd")
        batch = cases.random_batch(architecture)
        with self.pair(driver, architecture) as pair:
            for _ in range(3):
                assert_close("loss", pair.found.train(batch), pair.expected.train(batch), checks.STEP_LOSS)
                assert_close("logits", pair.found.infer(batch), pair.expected.infer(batch), checks.STEP_WEIGHTS)

    def test_inference_mode(self, driver: Driver) -> None:
        _require(driver, "inference_mode")
        architecture = cases.trained_with(cases.MODELS["resnet"], "sgd")
        batch = cases.random_batch(architecture)
        with self.pair(driver, architecture) as pair:
            for _ in range(2):
                assert_close("loss", pair.found.train(batch), pair.expected.train(batch), checks.STEP_LOSS)
                logits = pair.expected.infer(batch)
                with driver.inference_mode(pair.found.session):
                    for query in ("first", "second"):
                        found = pair.found.infer(batch)
                        assert_close(f"{query} logits inside inference_mode", found, logits, checks.STEP_WEIGHTS)
                assert_close("logits after inference_mode", pair.found.infer(batch), logits, checks.STEP_WEIGHTS)

    def test_seed_decides(self, driver: Driver) -> None:
        batch = cases.random_batch(cases.DROPOUT)
        losses = []
        for seed in (1, 1, 2):
            with self.pair(driver, cases.DROPOUT, seed=seed) as pair:
                losses.append([pair.found.train(batch) for _ in range(3)])
        assert_close("losses with the same seed", losses[1], losses[0], checks.REPEATED)
        assert relative_error(losses[2], losses[0]) > checks.REPEATED, "two values of plan.seed drop the same elements"

    @pytest.mark.parametrize("name", ["bert", "mlp"])
    def test_a_placed_batch_serves_many_steps(self, driver: Driver, name: str) -> None:
        batch, kept = cases.random_batch(cases.MODELS[name]), cases.random_batch(cases.MODELS[name])
        with self.pair(driver, cases.MODELS[name].without_dropout()) as pair:
            placed = pair.found.place(batch)
            for _ in range(3):
                assert_close("loss", pair.found.train_placed(placed), pair.expected.train(batch), checks.STEP_LOSS)
        assert same_bits(batch.x, kept.x), "training changed the host's samples"
        assert same_bits(batch.y, kept.y), "training changed the host's labels"

    @pytest.mark.parametrize("name", ["bert", "resnet"])
    def test_save_and_load(self, driver: Driver, tmp_path: Path, name: str) -> None:
        batch = cases.random_batch(cases.MODELS[name])
        with self.pair(driver, cases.MODELS[name].without_dropout()) as pair:
            both = (pair.found, pair.expected)
            for twin in both:
                twin.train(batch)
                twin.train(batch)
            weights, logits = pair.found.weights(), pair.found.infer(batch)
            paths = [twin.save(tmp_path / f"of.{who}") for twin, who in zip(both, ("found", "expected"), strict=True)]
            assert paths[0].exists(), f"save() returned {paths[0]}, which does not exist"
            assert tmp_path in paths[0].parents, f"save() wrote {paths[0]}, outside the folder it was given"
            for twin, path in zip(both, paths, strict=True):
                twin.train(batch)
                twin.load(path)
            checks.assert_unchanged("saving and loading", pair.found.weights(), weights)
            assert_close("logits after loading", pair.found.infer(batch), logits, checks.REPEATED)
            for _ in range(3):  # the reference's optimiser starts afresh: stale momentum or step counts part the two
                loss = pair.found.train(batch)
                assert_close("loss after loading", loss, pair.expected.train(batch), checks.STEP_LOSS)

    def test_a_model_file_runs_no_code(self, driver: Driver, tmp_path: Path) -> None:
        """load() takes the file for data: one with a program for pickle inside is refused, or read as something else."""
        for trap in checks.TRAPS:
            with self.pair(driver, cases.MODELS["mlp"], precision="fp32") as pair:
                path = pair.found.save(tmp_path / f"of.{trap.__name__}")
                checks.assert_runs_no_code(pair.found.load, path, trap, tmp_path / "ran")


def _require(driver: Driver, hook: str) -> None:
    if hook not in driver.hooks:
        pytest.skip(f"the plugin does not implement {hook}")
