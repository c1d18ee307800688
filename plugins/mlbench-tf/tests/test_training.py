"""What the conformance kit does not ask: Keras's own parameter counts, every execution in every precision, no retracing."""

import numpy as np
import pytest
from attrs import evolve

from mlbench_core.architecture import Architecture, Dense, Optimizer, Sequential, initial_weights
from mlbench_core.errors import UnsupportedError
from mlbench_core.models.bert import bert
from mlbench_core.models.mlp import mlp
from mlbench_core.models.resnet import resnet
from mlbench_core.testing.cases import PUBLISHED, random_batch
from mlbench_core.trial import Plan
from mlbench_tf import memory, settings, training

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SMALL = {
    "mlp": mlp((9,), 4, hidden=(16,)),
    "resnet": resnet("narrow", (32, 32, 3), 4, depths=(1, 1, 1, 1), bottleneck=False, width=8),
    "bert": bert("small", (8,), 4, depth=1, size=64, vocabulary=50),
}
PRECISIONS = ("fp32", "bf16", "fp16", "fp64")
TRAINED = [
    *(("mlp", precision, execution) for precision in PRECISIONS for execution in settings.EXECUTIONS),
    # The larger ones compile for many seconds; the kit trains them in float64 in every execution.
    *((name, precision, "graph") for name in ("resnet", "bert") for precision in PRECISIONS),
    *((name, "bf16", "compiled") for name in ("resnet", "bert")),
    *((name, "fp16", "eager") for name in ("resnet", "bert")),
]


def plan(architecture: Architecture, precision: str = "fp32", execution: str = "graph", seed: int = 0) -> Plan:
    return Plan(
        device="cpu",
        precision=precision,
        execution=execution,
        batch_size=8,
        optimizer=architecture.optimizer,
        threads=2,
        seed=seed,
        task="train",
    )


def start(architecture: Architecture, *settings: object, **more: object) -> training.Session:
    chosen = plan(architecture, *settings, **more)  # type: ignore[arg-type]
    return training.make_session(training.build_model(architecture, chosen), initial_weights(architecture, 0), chosen)


def losses(session: training.Session, steps: int) -> list[float]:
    batch = training.place_batch(session, random_batch(session.model.architecture))
    return [float(training.to_numpy(session.step(*batch))) for _ in range(steps)]


@pytest.mark.parametrize(("factory", "shape", "classes", "published"), PUBLISHED)
def test_published_parameter_counts(factory, shape, classes, published):
    architecture = factory(shape, classes)
    network = training.build_model(architecture, plan(architecture)).network
    assert sum(int(np.prod(variable.shape)) for variable in network.trainable_variables) == published


@pytest.mark.parametrize(("name", "precision", "execution"), TRAINED)
def test_loss_falls(name, precision, execution):
    session = start(SMALL[name], precision, execution)
    seen = losses(session, 20)
    assert np.isfinite(seen).all()
    assert seen[-1] < 0.9 * seen[0], seen  # 20 steps on one batch: far below, unless nothing is learned
    wanted = np.float64 if precision == "fp64" else np.float32
    assert {value.dtype for value in training.read_weights(session).values()} == {np.dtype(wanted)}
    session.close()


def test_gradients_leave_dropout_where_it_was():
    one, other = start(SMALL["bert"]), start(SMALL["bert"])
    batch = training.place_batch(other, random_batch(SMALL["bert"]))
    training.gradients(other, batch, None)
    assert losses(one, 2) == pytest.approx(losses(other, 2), rel=1e-6)  # float32; threads may add in another order


def test_a_session_made_to_infer_holds_no_optimiser(tmp_path):
    chosen = evolve(plan(SMALL["mlp"]), task="infer")
    session = training.make_session(
        training.build_model(SMALL["mlp"], chosen), initial_weights(SMALL["mlp"], 0), chosen
    )
    session = training.load(session, training.save(session, tmp_path / "model"))
    assert session.optimizer is None
    with pytest.raises(AssertionError, match="made to infer"):
        losses(session, 1)


@pytest.mark.parametrize("execution", ["graph", "compiled"])
def test_loading_traces_nothing_again(execution, tmp_path):
    session = start(SMALL["mlp"], "fp32", execution)
    first = losses(session, 3)
    fresh = start(SMALL["mlp"], "fp32", execution)
    session = training.load(session, training.save(fresh, tmp_path / "model"))
    assert losses(session, 3) == pytest.approx(first, rel=1e-6)
    assert session.step.experimental_get_tracing_count() == 1


def test_two_precisions_in_one_process():
    single, double = start(SMALL["mlp"], "fp32"), start(SMALL["mlp"], "fp64")
    assert losses(single, 3) == pytest.approx(losses(double, 3), rel=1e-5)
    assert training.read_knobs(single)["dtype_policy"] == "float32"
    assert training.read_knobs(double)["dtype_policy"] == "float64"


def test_embedding_gradients_that_repeat_a_token_add_up():
    architecture = SMALL["bert"].without_dropout()
    session, batch = start(architecture, "fp64"), random_batch(architecture)
    repeated = evolve(batch, x=np.full_like(batch.x, 7))
    found = training.gradients(session, training.place_batch(session, repeated), None).parameters["tokens.table"]
    assert np.flatnonzero(np.abs(found).sum(1)).tolist() == [7]


@pytest.mark.parametrize("execution", settings.EXECUTIONS)
def test_denormals_are_flushed(execution):
    """On a CPU, without being asked: why mlbench asks PyTorch to do the same.

    1.5e-38 is a normal number, a quarter of it is not.
    """
    architecture = Architecture(
        name="one",
        root=Sequential({"one": Dense(1)}),
        input_shape=(1,),
        num_classes=1,
        optimizer=Optimizer(name="sgd", learning_rate=2**-5, momentum=0.25),
    )
    session = start(architecture, "fp32", execution)
    session.optimizer.slots[0][1].assign(np.full((1, 1), 1.5e-38, np.float32))
    training.to_numpy(session.step(np.zeros((8, 1), np.float32), np.zeros(8, np.int64)))
    assert session.optimizer.slots[0][1].numpy().item() == 0


def test_knobs_are_read_back():
    session = start(SMALL["resnet"], "fp16")
    knobs = training.read_knobs(session)
    assert knobs["tf32"] == "False"
    assert knobs["layout"] == "channels_last"
    assert knobs["dtype_policy"] == "mixed_float16"
    assert knobs["loss_scale"] == "32768, dynamic"
    assert int(knobs["intra_op_threads"]) >= 1


def test_a_cpu_has_no_memory_counters():
    assert memory.readings("/CPU:0") == []


def test_tf32_is_refused_on_the_cpu():
    with pytest.raises(UnsupportedError, match="tf32"):
        settings.apply(plan(SMALL["mlp"], "tf32"))


def test_a_gpu_that_is_not_there_is_refused():
    if len(settings.framework_info().devices) > 1:
        pytest.skip("TensorFlow sees a GPU")
    with pytest.raises(
        UnsupportedError, match=r"sees no device .cuda:0.: use .cpu., or install TensorFlow.s CUDA build"
    ):
        settings.apply(evolve(plan(SMALL["mlp"]), device="cuda:0"))


def test_a_closed_session_lets_its_model_go():
    import weakref

    session = start(
        Architecture(
            name="one",
            root=Sequential([Dense(2)]),
            input_shape=(3,),
            num_classes=2,
            optimizer=Optimizer(name="sgd", learning_rate=0.1),
        )
    )
    losses(session, 1)
    network = weakref.ref(session.model.network)
    session.close()
    assert network() is None
