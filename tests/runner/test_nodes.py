"""Kinds of node as a dimension: the same trials on each, what runs where, and what is compared with what."""

from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from made import made
from placed import TRIAL, Executor

from mlbench_core import Config, Results, Suite
from mlbench_core.compare.judge import Options, compare_runs
from mlbench_core.entry import Entry
from mlbench_core.errors import ConfigError, ExecutorError
from mlbench_core.executor import Place
from mlbench_core.hookspecs import FrameworkInfo
from mlbench_core.installed import Found, Installed
from mlbench_core.nodes import NodeKind
from mlbench_core.record import Record
from mlbench_core.registry import load_registry
from mlbench_core.report.headline import answers
from mlbench_core.report.sections import arms_table
from mlbench_core.report.summary import comparison_table, summary_table
from mlbench_core.results.arms import arms_of
from mlbench_core.results.metrics import flops_per_second
from mlbench_core.results.storage import load
from mlbench_core.runner.lanes import Block, Lanes
from mlbench_core.runner.matrix import Surroundings, expand
from mlbench_core.runner.serving import Serving, check_nodes, gpus_on, serving, teams

NEAR, FAR = NodeKind(labels={"rack": "near"}), NodeKind(labels={"rack": "far"})


def place(name: str, rack: str, gpus: int = 0, node: str = "") -> Place:
    facts = {"gpus": [{"name": "NVIDIA H200"}] * gpus}
    return Place(name, f"{gpus} GPUs, rack={rack}", node, labels={"rack": rack}, facts=facts)


PLACES = (place("a", "near", 2), place("b", "near", 1), place("c", "far"))


def names(found: Serving) -> dict[str, list[str]]:
    return {place.name: list(kinds) for place, kinds in found.items()}


def test_each_place_takes_the_kinds_that_it_is_of() -> None:
    assert names(serving([NEAR, FAR], PLACES)) == {"a": ["rack=near"], "b": ["rack=near"], "c": ["rack=far"]}
    assert names(serving([NodeKind(accelerator="H200"), NEAR], PLACES)) == {
        "a": ["H200", "rack=near"], "b": ["H200", "rack=near"], "c": [],
    }  # fmt: skip
    assert names(serving(None, PLACES)) == {"a": [""], "b": [""], "c": [""]}


def test_a_count_is_of_nodes_and_not_of_places() -> None:
    two_on_one = (place("a.0", "near", node="a"), place("a.1", "near", node="a"), place("b.0", "near", node="b"))
    assert names(serving([evolve(NEAR, count=1)], two_on_one)) == {
        "a.0": ["rack=near"], "a.1": ["rack=near"], "b.0": [],
    }  # fmt: skip
    check_nodes([evolve(NEAR, count=2)], two_on_one)
    with pytest.raises(ConfigError, match="nodes: 2 of 3 nodes are rack=near"):
        check_nodes([evolve(NEAR, count=3)], two_on_one)


def test_teams_are_of_machines_that_are_alike_and_not_one() -> None:
    alike = [place(name, "near", 1, node=name[0]) for name in ("a.0", "a.1", "b.0", "c.0", "d.0", "e.0")]
    other = place("f.0", "near", 2, node="f")
    found = teams(None, [*alike, other], 2)
    assert [(team.name, *(each.name for each in team.others)) for team in found] == [("a.0", "b.0"), ("c.0", "d.0")]
    assert teams(None, alike, 1) == tuple(alike)
    assert [team.name for team in teams([evolve(NEAR, count=3)], alike, 2)] == ["a.0"]
    with pytest.raises(ConfigError, match="num_nodes: there are no 3 nodes of rack=far that are alike; there are: "):
        check_nodes([FAR], [place(name, "far") for name in "ab"], 3)


def test_trials_of_several_nodes(plugin_file: None) -> None:
    registry = load_registry(Path.cwd())
    keys = {"models": ["mlp"], "batch_sizes": [32], "frameworks": ["numpy"], "executor": "mine", "num_nodes": 2}
    (trial,) = expand(Config.parse(keys), registry, around("numpy")).trials
    assert (trial.task, trial.batch_size, trial.num_nodes) == ("train", 32, 2)
    assert trial.label == "numpy-mlp-cpu-n2-bs32-fp32-train-b0"
    assert trial.key != evolve(trial, num_nodes=1).key
    (shared,) = expand(Config.parse(keys | {"batch_per_device": True}), registry, around("numpy")).trials
    assert shared.batch_size == 64
    with pytest.raises(ConfigError, match="33 cannot be shared equally by the 2 devices of cpu on 2 nodes"):
        expand(Config.parse(keys | {"batch_sizes": [33]}), registry, around("numpy"))
    with pytest.raises(ConfigError, match="num_nodes: the executor 'local' has this machine alone"):
        expand(Config.parse(keys | {"executor": "local"}), registry, around("numpy"))


def test_the_peak_of_several_nodes_is_as_many_times_that_of_one() -> None:
    results = made(("pytorch", "jax"), ("mlp",), (32,), blocks=2)
    two = evolve(results, records=tuple(evolve(r, trial=evolve(r.trial, num_nodes=2)) for r in results.records))
    for one, other in zip(results.records, two.records, strict=True):
        if one.trial.task == "train":
            assert flops_per_second(other) == pytest.approx((flops_per_second(one) or 0) / 2)
    assert {row.samples_per_second for row in two.rows} == {row.samples_per_second for row in results.rows}
    assert "mlp on cpu on 2 x node" in two.comparisons[0].describe()


def test_a_kind_that_no_node_meets_is_one_line() -> None:
    with pytest.raises(ConfigError) as raised:
        check_nodes([NEAR, NodeKind(accelerator="B200")], PLACES)
    assert str(raised.value) == (
        "nodes: no node is B200; there are: 2 GPUs, rack=near; 1 GPUs, rack=near; 0 GPUs, rack=far"
    )


def test_a_kind_has_as_many_gpus_as_each_of_its_nodes() -> None:
    assert gpus_on([NEAR, FAR], PLACES) == {"rack=near": 1, "rack=far": 0}


def around(*names: str) -> Surroundings:
    found = (Found(name=name, module="m", distribution=name, version="1", group="g") for name in names)
    return Surroundings(frameworks=Installed(enabled=tuple(found)), gpus=0, cpus=2)


def offers(entry: Entry, _device: str, node: str) -> FrameworkInfo:
    """bf16 on near nodes alone."""
    return FrameworkInfo(
        name=entry.name, version="1", devices=("cpu", "cuda:0"), precisions=("fp32", *["bf16"] * (node == "rack=near")),
        executions=("eager",), default_execution="eager",
    )  # fmt: skip


def test_every_kind_runs_the_same_trials(tmp_path: Path, plugin_file: None) -> None:
    registry = load_registry(Path.cwd())
    keys = {"models": ["mlp"], "batch_sizes": [32, 64], "blocks": 2, "frameworks": ["jax", "numpy"], "executor": "mine"}
    plain = expand(Config.parse(keys), registry, around("jax", "numpy")).trials
    found = expand(Config.parse(keys | {"nodes": KINDS}), registry, around("jax", "numpy")).trials
    for kind in ("rack=near", "rack=far"):
        assert {evolve(t, node="") for t in found if t.node == kind} == set(plain)
    assert len(found) == 2 * len(plain) == len({t.key for t in found}) == len({t.label for t in found})
    assert all(t.label.count("/") == 0 for t in found)


def test_each_kind_has_the_devices_and_the_offers_of_its_own(plugin_file: None) -> None:
    registry = load_registry(Path.cwd())
    keys = {
        "models": ["mlp"],
        "devices": ["all"],
        "precision": ["all"],
        "frameworks": ["jax"],
        "executor": "mine",
        "nodes": KINDS,
    }
    surroundings = evolve(around("jax"), offers=offers, gpus_on={"rack=near": 1, "rack=far": 0})
    found = expand(Config.parse(keys), registry, surroundings)
    assert {(t.node, t.device) for t in found.trials} == {
        ("rack=near", "cpu"), ("rack=near", "cuda:0"), ("rack=far", "cpu"),
    }  # fmt: skip
    assert {(t.node, t.precision) for t in found.trials if t.device == "cpu"} == {
        ("rack=near", "fp32"), ("rack=near", "bf16"), ("rack=far", "fp32"),
    }  # fmt: skip
    assert found.not_offered == "jax: tf32, fp16, bf16 on cpu on rack=far"
    with pytest.raises(ConfigError, match="devices: there is no cuda:0 on rack=far, only cpu"):
        expand(Config.parse(keys | {"devices": ["cuda:0"]}), registry, surroundings)


def test_the_local_executor_refuses_kinds() -> None:
    with pytest.raises(ConfigError) as raised:
        Suite(frameworks=["numpy"], nodes=[{"labels": {"rack": "near"}}])
    assert str(raised.value) == ("nodes: the executor 'local' has this machine alone; it is for one that has several")


def blocks(count: int) -> list[Block]:
    return [[evolve(TRIAL, node=kind.name, block=block)] for block in range(count) for kind in (NEAR, FAR)]


def test_blocks_run_on_nodes_of_their_kind() -> None:
    executor = Executor()
    lanes = Lanes(PLACES, lambda: PLACES, serve=lambda places: serving([NEAR, FAR], places))
    found = list(lanes.run(blocks(3), executor.start))
    assert len(found) == 6
    assert {(r.trial.node, r.place) for r in found} == {("rack=near", "a"), ("rack=far", "c")}


def test_a_kind_whose_nodes_are_lost_costs_the_others_nothing() -> None:
    executor = Executor(lambda _block, where: where.name == "c")
    lanes = Lanes(PLACES, lambda: PLACES, 1, serve=lambda places: serving([NEAR, FAR], places))
    found: list[Record] = []
    with pytest.raises(ExecutorError, match="lost every node of rack=far that it had"):
        found.extend(lanes.run(blocks(3), executor.start))
    assert [r.status for r in found if r.trial.node == "rack=near"] == ["ok"] * 3
    assert [r.status for r in found if r.trial.node == "rack=far"] == ["node-lost"]


def test_a_spare_node_of_the_kind_takes_over() -> None:
    one = evolve(NEAR, count=1)
    executor = Executor(lambda _block, where: where.name == "a")
    lanes = Lanes(PLACES, lambda: PLACES, 1, serve=lambda places: serving([one, FAR], places))
    found = list(lanes.run(blocks(1), executor.start))
    assert {(r.trial.node, r.place, r.status) for r in found} == {
        ("rack=near", "a", "node-lost"), ("rack=near", "b", "ok"), ("rack=far", "c", "ok"),
    }  # fmt: skip


FILE = """
from attrs import evolve
from mlbench_core.executor import Place
from mlbench_core.executors import local
from mlbench_core.hookspecs import ExecutorDescriptor, hookimpl

def connect(options):
    facts = local.machine() | {"gpus": []}
    return tuple(Place(rack, f"of rack {rack}", labels={"rack": rack}, facts=facts) for rack in ("near", "far"))

def machine():
    return local.machine()

def run(request, setting):
    return evolve((yield from local.run(request, setting)), place=setting.place)

@hookimpl
def register_executors():
    return [ExecutorDescriptor(name="mine", run="mlbenchfile:run", machine="mlbenchfile:machine", connect="mlbenchfile:connect",
                               description="")]
"""
KINDS = [{"labels": {"rack": "near"}}, {"labels": {"rack": "far"}}]


@pytest.fixture
def plugin_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlbenchfile.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def keys(plugin_file: None, quick: dict[str, float]) -> dict[str, Any]:
    return {
        "frameworks": ["numpy", "fake"], "models": ["mlp"], "dataset": "synthetic:8/2@64", "batch_sizes": [8],
        "num_epochs": 1, "measure": quick, "executor": "mine", "threads": 1, "nodes": KINDS,
    }  # fmt: skip


def told(results: Results) -> set[tuple[str, str, str]]:
    return {(record.trial.key, record.started, record.place) for record in results.records}


def test_a_run_tells_the_kinds_apart(keys: dict[str, Any], tmp_path: Path) -> None:
    suite = Suite(**keys, output="out")
    results = suite.run()
    assert {(r.trial.node, r.place, r.status) for r in results.records} == {
        ("rack=near", "near", "ok"), ("rack=far", "far", "ok"),
    }  # fmt: skip
    # An arm of one kind is never held against one of the other.
    assert {(c.group.node, c.a, c.b) for c in results.comparisons} == {
        ("rack=near", "fake", "numpy"), ("rack=far", "fake", "numpy"),
    }  # fmt: skip
    assert {row.node for row in results.rows} == {"rack=near", "rack=far"}
    assert [(p.node, p.nodes) for p in results.parity if p.framework == "numpy"] == [
        ("of rack near", ("rack=near",)), ("of rack far", ("rack=far",)),
    ]  # fmt: skip
    assert told(load(tmp_path / "out")) == told(results)


def test_a_node_is_shown_where_there_are_several() -> None:
    several = on_nodes(made(("pytorch", "jax"), ("mlp",), (32,), blocks=2), "near", "far")
    for table in (summary_table(several), comparison_table(several.comparisons)):
        (column,) = [column for column in table.columns if column.label == "node"]
        assert {cell.plain for cell in column.cells} == {"near", "far"}
    assert {row[1].text for row in arms_table(arms_of(several.rows)).rows} == {"cpu on near", "cpu on far"}
    assert "training of mlp on cpu on far, batch size 32, fp32" in {answer.heading for answer in answers(several)}
    assert set(several.to_dataframe()["node"]) == set(several.to_dataframe(tidy=True)["node"]) == {"near", "far"}
    one = made(("pytorch", "jax"), ("mlp",), (32,), blocks=2)
    assert "node" not in [column.label for column in summary_table(one).columns]


def test_runs_are_compared_node_by_node() -> None:
    results = made(("pytorch",), ("mlp",), (32,), blocks=3)
    base, new = on_nodes(results, "near", "far"), on_nodes(results, "near")
    found = compare_runs([base], [new], Options())
    assert {one.cell.node for one in found.judged} == {"near"}
    assert {name.rpartition("/")[2] for name, side in found.missing if side == "new"} == {"far"}
    assert "mlp/train/pytorch/cpu/bs32/fp32/eager/near" in {one.cell.name for one in found.judged}


def on_nodes(results: Results, *nodes: str) -> Results:
    found = (evolve(r, trial=evolve(r.trial, node=node)) for node in nodes for r in results.records)
    return evolve(results, records=tuple(found))


def test_what_one_kind_disproves_another_does_not() -> None:
    results = made(("pytorch", "jax"), ("mlp",), (32,), blocks=2)

    rung = evolve(results.parity[0].rungs[0], error=1.0)
    wrong = [evolve(p, nodes=("far",), rungs=(rung,)) for p in results.parity]
    right = [evolve(p, nodes=("near",)) for p in results.parity]
    both = evolve(on_nodes(results, "near", "far"), parity=(*right, *wrong))
    assert {(row.node, row.parity.verdict) for row in both.rows} == {("near", "verified"), ("far", "not comparable")}
    assert {(c.group.node, c.verdict == "not comparable") for c in both.comparisons if c.primary} == {
        ("near", False), ("far", True),
    }  # fmt: skip


def test_a_run_goes_on_with_its_kinds(keys: dict[str, Any]) -> None:
    first = Suite(**keys, output="out").run(verify=False)
    again = Suite(**keys, output="out")
    assert told(again.run(verify=False, resume=True)) == told(first)
    with pytest.raises(ConfigError, match="configuration, nodes: "):
        Suite(**{**keys, "nodes": KINDS[:1]}, output="out").run(verify=False, resume=True)


def test_nothing_is_begun_where_a_kind_is_missing(keys: dict[str, Any], tmp_path: Path) -> None:
    suite = Suite(**{**keys, "nodes": [{"accelerator": "H200"}]}, output="out")
    with pytest.raises(ConfigError, match="nodes: no node is H200; there are: of rack near; of rack far"):
        suite.run()
    assert not (tmp_path / "out").exists()
