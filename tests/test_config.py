"""Configurations: what is accepted, and one clear line for everything else."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.config import Config, Measure, shipped
from mlbench_core.errors import ConfigError


def test_the_shipped_configurations_load_by_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped() == ["benchmark_config", "comprehensive", "quick_test"]
    for name in shipped():
        Config.load(name)


def test_the_default_configuration_is_the_documented_one() -> None:
    config = Config.load("benchmark_config")
    assert config.frameworks == ("pytorch", "tensorflow", "jax")
    assert config.models == ("cnn", "transformer", "mlp")
    assert config.batch_sizes == (32, 64, 128)
    assert (config.num_epochs, config.dataset, config.precision) == (5, "cifar10", ("fp32",))


def test_configs_show_at_the_root_of_the_repository() -> None:
    root = Path(__file__).parent.parent
    assert (root / "configs" / "quick_test.yaml").samefile(root / "mlbench_core" / "configs" / "quick_test.yaml")


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    data = {"models": ["mlp", "cnn"], "dataset": {"mlp": "breast_cancer", "cnn": "digits"}, "measure": {"queries": 11}}
    (tmp_path / "c.json").write_text(json.dumps(data))
    (tmp_path / "c.yaml").write_text(
        "models: [mlp, cnn]\ndataset: {mlp: breast_cancer, cnn: digits}\nmeasure: {queries: 11}"
    )
    assert Config.load(str(tmp_path / "c.json")) == Config.load(str(tmp_path / "c.yaml")) == Config.parse(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"modles": ["mlp"]}, "unknown key 'modles': did you mean 'models'?"),
        ({"models": []}, "models: the list is empty"),
        ({"models": None}, "models: the list is empty"),
        ({"models": [3]}, "models: 3 is not a name"),
        ({"batch_sizes": [32, 0]}, "batch_sizes: 0 is not a whole number of at least 1"),
        ({"batch_sizes": [-1]}, "batch_sizes: -1 is not"),
        ({"batch_sizes": [1.5]}, "batch_sizes: 1.5 is not"),
        ({"batch_sizes": [True]}, "batch_sizes: True is not"),
        ({"batch_sizes": ["many"]}, "batch_sizes: 'many' is not"),
        ({"num_epochs": 0}, "num_epochs: 0 is not"),
        ({"num_epochs": {"mlp": -2}}, "num_epochs: -2 is not"),
        ({"dataset": {}}, "dataset: the mapping is empty"),
        ({"dataset": 7}, "dataset: 7 is not a name"),
        ({"precision": ["fp23"]}, "precision: unknown precision 'fp23': did you mean 'fp32'?"),
        ({"execution": ["fast"]}, "execution: unknown execution 'fast'"),
        ({"devices": ["tpu"]}, "devices: unknown device 'tpu'. A device is cpu, cuda:0"),
        ({"seed": -1}, "seed: -1 is not a whole number of at least 0"),
        ({"threads": 0}, "threads: 0 is not"),
        ({"time_limit_s": "soon"}, "time_limit_s: 'soon' is not a number of seconds"),
        ({"time_limit_s": float("nan")}, "time_limit_s: nan is not a number of seconds"),
        ({"measure": 3}, "measure: 3 is not a mapping of warmup_steps"),
        ({"measure": {"warmup": 3}}, "measure: unknown key 'warmup'"),
        ({"measure": {"queries": 0}}, "measure: queries: 0 is not"),
        ({"interpreters": ["python"]}, "interpreters: \\['python'\\] is not a mapping"),
    ],
)
def test_bad_values_name_the_key_the_value_and_what_would_do(data: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match="^file.yaml: ") as error:
        Config.parse(data, "file.yaml")
    assert error.match(words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("models: [mlp", "not valid YAML or JSON at line 1"),
        ("- mlp", "must hold keys and values"),
        ("", "must hold keys and values"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=words):
        Config.load(str(path))


def test_a_missing_file_lists_the_shipped_names() -> None:
    with pytest.raises(ConfigError, match=r"no file 'nowhere.yaml'.*quick_test"):
        Config.load("nowhere.yaml")


def test_values_per_model_may_use_aliases() -> None:
    config = Config.parse({"dataset": {"cnn": "cifar10"}, "num_epochs": 3})
    assert config.for_model("dataset", "resnet18", ("cnn",)) == "cifar10"
    assert config.for_model("num_epochs", "resnet18", ("cnn",)) == 3
    with pytest.raises(ConfigError, match="dataset: nothing for model 'mlp'"):
        config.for_model("dataset", "mlp", ())
    assert (
        Config.parse({"dataset": {"cnn": "cifar10", "default": "digits"}}).for_model("dataset", "mlp", ()) == "digits"
    )


def test_a_value_given_twice_runs_once() -> None:
    assert Config.parse({"batch_sizes": [32, "32", 64]}).batch_sizes == (32, 64)


TEXT = st.text("ab1:\n ", max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(data=st.dictionaries(st.sampled_from([*Config().to_dict(), "nonsense"]), json_values))
def test_whatever_is_given_is_a_config_or_one_line(data: dict[str, object]) -> None:
    try:
        config = Config.parse(data)
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert Config.parse(config.to_dict()) == config


def test_a_profile_sets_what_it_is_about() -> None:
    defaults, matched = (
        Config.parse({"profile": "defaults"}),
        Config.parse({"profile": "matched", "precision": ["bf16"]}),
    )
    assert (defaults.precision, defaults.execution) == (("default",), ("default",))
    assert (matched.precision, matched.execution) == (("bf16",), ("compiled",))
    assert Config(precision=("bf16",)).replace(profile="defaults").precision == ("default",)
    for config in (defaults, matched):
        assert Config.parse(config.to_dict()) == config
    with pytest.raises(
        ConfigError, match="execution: the profile 'matched' sets it to compiled; leave one of the two out"
    ):
        Config.parse({"profile": "matched", "execution": ["eager"]})
    with pytest.raises(ConfigError, match="unknown profile 'fastest'"):
        Config.parse({"profile": "fastest"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"extend_until": {"half_width": "x"}}, "extend_until: half_width: 'x' is not a number of at least 0"),
        ({"extend_until": {"blocks": 3}}, "extend_until: unknown key 'blocks'"),
        ({"compare": {"delta": -0.1}}, "compare: delta: -0.1 is not a number"),
        ({"flags": []}, r"flags: \[\] is not a mapping of value_seconds"),
        ({"measure": {"queries": 0}}, "measure: queries: 0 is not a whole number of at least 1"),
    ],
)
def test_thresholds_are_checked(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.parse(data)


def test_a_config_survives_its_own_dict() -> None:
    config = Config(models=("mlp",), measure=Measure(queries=20), dataset={"mlp": "digits"}, threads=1)
    assert Config.parse(config.to_dict()) == config
