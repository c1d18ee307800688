"""The JSON Schema of a configuration, for editors and other programs; `keys` is what decides."""

from __future__ import annotations

from typing import Any

from attrs import fields_dict

from mlbench_core.config import Config
from mlbench_core.devices import PATTERN
from mlbench_core.entry import LABEL
from mlbench_core.json_schema import DIALECT
from mlbench_core.keys import EXECUTIONS, LARGEST_WHOLE, LEAST, LONGEST_S, PHASES, PRECISIONS, PROFILES, TASKS
from mlbench_core.nodes import MOST, WORD
from mlbench_core.thresholds import Compare, ExtendUntil, Limits, Measure

ID = "urn:mlbench:config"
Schema = dict[str, Any]

MEANINGS = {
    "frameworks": "Frameworks to compare, as `mlbench plugins` names them, or all; with an interpreter of its own and a label.",
    "models": "Models, or all.",
    "devices": "cpu, cuda:N, mps, or all; several that share each batch: cuda:0-1, cuda:*, cpu*2.",
    "batch_sizes": "Training batch sizes; auto: the largest that fits in all arms of a group.",
    "batch_per_device": "Whether several devices train on as many samples each as one would, not on a share of them.",
    "num_epochs": "Epochs of real training; a number, or one per model.",
    "dataset": "A data set's name or a file; one, or one per model.",
    "optimizer": "What models are trained with; one, or one per model; null: each with its own.",
    "loss": "What training makes smaller; one, or one per model; null: each with its own, which is cross-entropy.",
    "precision": "Of products, parameters and activations, or all.",
    "execution": "How a framework runs the step, or all.",
    "tasks": "What is measured: training, inference, or both.",
    "profile": "defaults: as each framework comes. matched: same precision, all compiled. tuned: and by its own guide.",
    "blocks": "How often every cell is repeated, in fresh processes.",
    "extend_until": "Add blocks until intervals are this narrow.",
    "inference_batch_size": "Of the queries whose latency is measured.",
    "seed": "Of weights, batches and order.",
    "threads": "CPU threads per worker.",
    "time_limit_s": "Seconds after which a trial is stopped.",
    "phase_limit_s": "Seconds after which a trial is stopped in any phase, or in the phases of a mapping.",
    "data_dir": "Where downloaded data sets already lie.",
    "output": "Folder for the results.",
    "executor": "What runs the trials.",
    "executor_options": "What the executor takes besides, by its own names.",
    "nodes": "Kinds of node, each of which runs all trials; by accelerator, labels, or both; and how many of them.",
    "num_nodes": "How many nodes share each batch.",
    "node_lost_retries": "How often a block is run again because its node was lost.",
    "measure": "How a trial is timed.",
    "compare": "When a difference is called one.",
    "limits": "When a number is doubted.",
}


def config_schema() -> Schema:
    """What a configuration file may hold; every key has a default."""
    defaults = Config().to_dict()
    properties = {}
    for key, schema in _keys().items():
        default = {"default": defaults[key]} if key in defaults and not isinstance(defaults[key], dict) else {}
        properties[key] = {"description": MEANINGS[key], **schema, **default}
    return {
        "$schema": DIALECT,
        "$id": ID,
        "title": "A configuration of mlbench",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _keys() -> dict[str, Schema]:
    return {
        "frameworks": _some({"anyOf": [TEXT, _entry()]}),
        "models": _some(TEXT),
        "devices": _some({"type": "string", "pattern": PATTERN}),
        "batch_sizes": _some({"anyOf": [*_whole(1)["anyOf"], {"enum": ["auto"]}]}),
        "batch_per_device": {"type": "boolean"},
        "num_epochs": _per_model(_whole(1)),
        "dataset": _per_model(TEXT),
        "optimizer": _optional(_per_model(TEXT)),
        "loss": _optional(_per_model(TEXT)),
        "precision": _some({"enum": [*PRECISIONS, "all"]}),
        "execution": _some({"enum": [*EXECUTIONS, "all"]}),
        "tasks": _some({"enum": [*TASKS]}),
        "profile": {"enum": [*PROFILES, None]},
        "blocks": _whole(1, 10_000),
        "extend_until": _optional(_settings(ExtendUntil)),
        "inference_batch_size": _whole(1),
        "seed": _whole(0),
        "threads": _optional(_whole(1)),
        "time_limit_s": _seconds(),
        "phase_limit_s": {
            "anyOf": [
                *_seconds()["anyOf"],
                {"type": "object", "propertyNames": {"enum": list(PHASES)}, "additionalProperties": _seconds()},
                {"type": "null"},
            ]
        },
        "data_dir": _optional(TEXT),
        "output": TEXT,
        "executor": TEXT,
        "executor_options": {
            "type": "object",
            "propertyNames": TEXT,
            "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]},
        },
        "nodes": _optional(_some(_node())),
        "num_nodes": _whole(1, 1000),
        "node_lost_retries": _whole(0, 1000),
        "measure": _settings(Measure),
        "compare": _settings(Compare),
        "limits": _settings(Limits),
    }


TEXT: Schema = {"type": "string", "pattern": r"^[^\u0000\ud800-\udfff]+$"}
DIGITS = r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
"""A number as text: 1e3 is one in YAML."""


def _entry() -> Schema:
    return {
        "type": "object",
        "properties": {
            "name": {**TEXT, "not": {"const": "all"}},
            "python": _optional(TEXT),
            "label": _optional({"type": "string", "pattern": rf"^{LABEL}$(?!\n)"}),
        },
        "required": ["name"],
        "additionalProperties": False,
    }


def _node() -> Schema:
    word = {"type": "string", "pattern": rf"^{WORD}$(?!\n)"}
    labels = {"type": "object", "propertyNames": word, "additionalProperties": word}
    one_of = {"accelerator": {"type": "string"}, "labels": {"type": "object", "minProperties": 1}}
    return {
        "type": "object",
        "properties": {
            "accelerator": _optional(word),
            "labels": _optional(labels),
            "count": _optional({"type": "integer", "minimum": 1, "maximum": MOST}),
        },
        "allOf": [{"anyOf": [{"required": [key], "properties": {key: named}} for key, named in one_of.items()]}],
        "additionalProperties": False,
    }


def _text_of(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _whole(low: int, high: int = LARGEST_WHOLE) -> Schema:
    digits = r"\+?0*[1-9][0-9]*" if low else r"\+?[0-9]+"
    text = _text_of(digits + r"(\.0*)?([eE]\+?[0-9]+)?")
    return {"anyOf": [{"type": "integer", "minimum": low, "maximum": high}, text]}


def _seconds() -> Schema:
    return {"anyOf": [{"type": "number", "minimum": 0, "maximum": LONGEST_S}, _text_of(DIGITS)]}


def _number() -> Schema:
    return {"anyOf": [{"type": "number", "minimum": 0}, _text_of(rf"\s*{DIGITS}\s*%?\s*")]}


def _some(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


def _per_model(item: Schema) -> Schema:
    by_model = {"type": "object", "propertyNames": TEXT, "additionalProperties": item, "minProperties": 1}
    return {"anyOf": [item, by_model]}


def _optional(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "null"}]}


def _settings(kind: type) -> Schema:
    properties = {
        name: {
            **(_whole(LEAST.get(name, 1)) if attribute.type in (int, "int") else _number()),
            "default": attribute.default,
        }
        for name, attribute in fields_dict(kind).items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}
