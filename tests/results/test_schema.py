"""The JSON Schemas that `mlbench schema` prints, held against files and against what is read."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
import yaml
from attrs import evolve, fields_dict, frozen
from made import made

from mlbench_core import Config
from mlbench_core.config import SHIPPED
from mlbench_core.config_schema import MEANINGS, config_schema
from mlbench_core.errors import ConfigError
from mlbench_core.json_schema import Definitions
from mlbench_core.keys import check
from mlbench_core.machine.facts import machine_facts
from mlbench_core.results.schema import results_schema
from mlbench_core.results.storage import NAME, save
from mlbench_core.verify.rungs import ParityResult, Rung

RESULTS = jsonschema.Draft202012Validator(results_schema())
CONFIG = jsonschema.Draft202012Validator(config_schema())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A file with everything in it: a GPU, failures, flags, an unfinished ladder, this machine's facts."""
    results = made(devices=("cpu", "cuda:0"), blocks=3, failed=("jax",), unstable=("tensorflow",), queries=70)
    rung = Rung(number=3, name="forward", error=float("nan"), tolerance=1e-10)
    unfinished = ParityResult(
        framework="toy", model="mlp", device="cpu", digest="", framework_version="1", rungs=(rung,)
    )
    facts = {**results.machines, "this": machine_facts()}
    results = evolve(results, machines=facts, parity=(*results.parity, unfinished), interrupted=True)
    found: dict[str, Any] = json.loads(save(results, tmp_path_factory.mktemp("s") / NAME).read_text())
    return found


@pytest.mark.parametrize("schema", [results_schema(), config_schema()], ids=["results", "config"])
def test_the_schemas_are_schemas(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_file_follows_the_schema_that_it_names(data: dict[str, Any]) -> None:
    RESULTS.validate(data)
    assert data["$schema"] == results_schema()["$id"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 99),
        (("interrupted",), "no"),
        (("surprise",), 1),
        (("config", "blocks"), 0),
        (("records", 0, "status"), "fine"),
        (("records", 0, "measured", "values"), ["fast"]),
        (("records", 0, "measured", "surprise"), 1),
        (("rows", 0, "samples_per_second"), "fast"),
        (("rows", 0, "parity", "verdict"), "proven"),
        (("comparisons", 0, "verdict"), "better"),
        (("machines", "made", "gpus"), None),
        (("parity", 0, "rungs", 0, "error"), None),
    ],
)
def test_what_no_run_writes_does_not_follow_it(data: dict[str, Any], place: tuple[Any, ...], value: object) -> None:
    edited: Any = copy.deepcopy(data)
    inside = edited
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    assert not RESULTS.is_valid(edited)


def test_what_is_missing_does_not_follow_it(data: dict[str, Any]) -> None:
    assert not RESULTS.is_valid({key: value for key, value in data.items() if key != "records"})
    assert not RESULTS.is_valid(
        data | {"records": [{key: v for key, v in data["records"][0].items() if key != "trial"}]}
    )


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_follow_theirs(file: Path) -> None:
    CONFIG.validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_every_key_is_described_with_its_default() -> None:
    properties = config_schema()["properties"]
    assert set(properties) == set(MEANINGS) == set(fields_dict(Config))
    for key, value in Config().to_dict().items():
        assert CONFIG.is_valid({key: value})
        assert properties[key].get("default", value) == value
        nested = properties[key].get("properties", {})
        assert {name: each["default"] for name, each in nested.items()} == (value if nested else {})


SAMPLES: list[Any] = [
    None, True, False, 0, 1, -1, 3.0, 0.5, -0.5, 2**32, 10**10, 10**40,
    "", "x", "mlp", "0", "3", "1e3", "+3", "-3", "0.5", "1%", "0.5 %", "a\nb", "a\0b",
    "all", "cpu", "cuda", "cuda:1", "cuda:x", "fp32", "eager", "matched",
    [], ["x"], ["fp32"], ["eager", "graph"], ["cpu", "cuda:0"], [1, 2], [0], [""], [None], [[1]],
    {}, {"x": 1}, {"x": "1"}, {"x": 0}, {"": 1}, {"mlp": 2, "default": 3}, {"surprise": 1},
    {"queries": 10}, {"queries": 0}, {"queries": 1.5}, {"latency_steps": 0}, {"value_seconds": "1%"}, {"value_seconds": -1},
    {"delta": 0.1}, {"half_width": "2%", "max_blocks": 5}, {"max_blocks": "many"}, {"drift": None},
    {"name": "x"}, {"name": "all"}, {"name": ""}, {"name": "x", "python": "p", "label": "x-1.0"}, {"name": "x", "label": None},
    [{"name": "x", "label": "a b"}], {"name": "x", "label": "a\n"}, {"name": "x", "label": "../x"}, {"name": "x", "python": ""},
    {"accelerator": "H200"}, {"accelerator": "a\n"}, {"accelerator": None}, {"labels": {"zone": "a"}, "count": 2},
    [{"accelerator": "H200", "count": 3.0}, {"labels": {"x": "1"}}], {"accelerator": "H200", "count": 0}, {"count": 2},
    {"accelerator": "H200", "labels": None, "count": None}, {"accelerator": "x" * 81}, {"accelerator": "H200", "zone": "a"},
    {"labels": {}}, {"labels": {"zone": 1}},
    {"label": "x"}, ["x", {"name": "x", "label": "y"}], {"name": "x", "path": "y"}, {"name": "x", "label": "y" * 41},
]  # fmt: skip


@pytest.mark.parametrize("key", sorted(MEANINGS))
def test_the_schema_of_a_key_allows_what_is_read(key: str) -> None:
    for sample in SAMPLES:
        try:
            check({key: sample}, "")
            read = True
        except ConfigError:
            read = False
        assert CONFIG.is_valid({key: sample}) == read, sample


def test_other_types_have_no_schema() -> None:
    @frozen
    class Holder:
        these: set[int]

    with pytest.raises(TypeError, match=r"no JSON Schema for set\[int\]"):
        Definitions().of(Holder)
    assert Definitions().of(Literal["a", "b"]) == {"enum": ["a", "b"]}


@pytest.mark.parametrize("args", [["config"], ["results"], []])
def test_the_command_prints_them(args: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from mlbench_core.cli import main; main()", "schema", *args],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == (config_schema() if args == ["config"] else results_schema())
