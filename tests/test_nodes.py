"""Kinds of node: what a configuration may ask for, and which nodes meet it."""

import json
from typing import Any

import pytest

from mlbench_core import Config
from mlbench_core.errors import ConfigError
from mlbench_core.nodes import NodeKind

H200 = NodeKind(accelerator="H200")
IN_ZONE_A = NodeKind(labels={"zone": "a"})


@pytest.mark.parametrize(
    ("kind", "accelerators", "labels", "met"),
    [
        (H200, ["NVIDIA H200"], {}, True),
        (H200, ["NVIDIA H200 NVL", "NVIDIA H200 NVL"], {}, True),
        (NodeKind(accelerator="h100 80gb"), ["NVIDIA H100 80GB HBM3"], {}, True),
        (NodeKind(accelerator="L4"), ["NVIDIA L40"], {}, False),
        (H200, ["NVIDIA H200", "NVIDIA H100 80GB HBM3"], {}, False),  # cuda:1 would be another card
        (H200, [], {}, False),
        (IN_ZONE_A, [], {"zone": "a", "rack": "1"}, True),
        (IN_ZONE_A, [], {"zone": "b"}, False),
        (NodeKind(accelerator="H200", labels={"zone": "a"}), ["NVIDIA H200"], {"zone": "b"}, False),
    ],
)
def test_a_node_meets_a_kind(kind: NodeKind, accelerators: list[str], labels: dict[str, str], met: bool) -> None:
    assert kind.meets(accelerators, labels) is met


def test_a_kind_is_called_by_what_is_asked_for() -> None:
    assert H200.name == "H200"
    assert NodeKind(accelerator="H200", labels={"zone": "a", "rack": "2"}, count=3).name == "H200, rack=2, zone=a"


def test_kinds_survive_a_file() -> None:
    given = {"nodes": [{"accelerator": "H200"}, {"labels": {"zone": "a"}, "count": 2}]}
    config = Config.parse(given)
    assert config.nodes == (H200, NodeKind(labels={"zone": "a"}, count=2))
    assert json.loads(json.dumps(config.to_dict()))["nodes"] == given["nodes"]
    assert Config.parse(config.to_dict()) == config
    assert Config.parse({"nodes": {"accelerator": "H200"}}).nodes == (H200,)
    assert "nodes" not in Config().to_dict()


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([], "the list is empty; give at least one, such as"),
        (["H200"], "'H200' is no kind of node, as those of"),
        ([{"acelerator": "H200"}], "unknown key 'acelerator': did you mean 'accelerator'?"),
        ([{"count": 2}], "names neither an accelerator nor labels"),
        ([{"accelerator": "H200", "count": 0}], "count: 0 is not a whole number from 1 to 10000"),
        ([{"accelerator": "H200", "count": True}], "count: True is not a whole number"),
        ([{"accelerator": "H200", "count": float("nan")}], "count: nan is not a whole number"),
        ([{"labels": ["zone"]}], "labels: ['zone'] is not a mapping, such as {zone: a}"),
        ([{"labels": {"zone": 1}}], "1 is not letters, digits, spaces"),
        ([{"accelerator": "../x"}], "'../x' is not letters, digits, spaces"),
        ([{"accelerator": "H200"}, {"accelerator": "H200", "count": 1}], "H200 is asked for twice"),
    ],
)
def test_what_is_no_kind_is_one_line(nodes: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.parse({"nodes": nodes})
    assert str(raised.value).startswith("nodes: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
