"""Configurations: what is accepted, and one clear line for everything else."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.config import Config, Measure, shipped
from mlbench_core.entry import Entry
from mlbench_core.errors import ConfigError


def test_the_shipped_configurations_load_by_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped() == ["benchmark_config", "comprehensive", "gpu_reference", "gpu_scaling", "quick_test"]
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
        ({"seed": 10**5000}, "seed: this int is too long to show, and is more than 4294967295"),
        ({"seed": "9" * 5000}, "seed: '9+\\.\\.\\. is not a whole number"),
        ({"seed": 2**32}, "seed: 4294967296 is more than 4294967295"),
        ({"seed": "²"}, "seed: '²' is not a whole number"),
        ({"seed": "1.5e0"}, "seed: '1.5e0' is not a whole number"),
        ({"blocks": 10**9}, "blocks: 1000000000 is more than 10000"),
        ({"time_limit_s": 10**400}, "time_limit_s: this int|is more than 1e\\+09 seconds"),
        ({"phase_limit_s": "soon"}, "phase_limit_s: 'soon' is not a number of seconds"),
        ({"phase_limit_s": {"trian": 5}}, "phase_limit_s: unknown phase 'trian': did you mean 'train'"),
        ({"phase_limit_s": {"train": -1}}, "phase_limit_s: -1 is not a number of seconds"),
        ({"time_limit_s": "1e400"}, "time_limit_s: '1e400' is more than 1e\\+09 seconds"),
        ({"measure": {"min_seconds": 10**400}}, "measure: min_seconds: 1000+\\.\\.\\. is not a number"),
        ({"devices": ["cuda:²"]}, "devices: unknown device 'cuda:²'"),
        ({"devices": ["cuda:" + "9" * 5000]}, "devices: unknown device"),
        ({"output": "a\0b"}, r"output: 'a\\x00b' holds a character that no path can have"),
        ({"output": "\ud800"}, r"output: '\\ud800' holds a character that no path can have"),
        (
            {"interpreters": {"jax": "envs/old/bin/python"}},
            r"interpreters: is no key any more: .*: \[\{name: FRAMEWORK, python: envs/old/bin/python, label: old\}\]$",
        ),
        (
            {"frameworks": [{"python": "python3"}]},
            "frameworks: {'python': 'python3'} has no name; an entry is a name or {name",
        ),
        ({"frameworks": [{"name": "all", "label": "a"}]}, "frameworks: 'all' takes neither python nor label"),
        ({"frameworks": [{"name": "jax", "label": "../a"}]}, r"frameworks: label: '\.\./a' is not letters, digits"),
        ({"frameworks": [{"name": "jax", "label": "a\n"}]}, r"frameworks: label: 'a\\n' is not letters, digits"),
        ({"frameworks": [{"name": "jax", "label": "a" * 41}]}, "frameworks: label: .* 40 at most"),
        ({"frameworks": [{"name": "jax", "python": 3}]}, "frameworks: 3 is not a name"),
        ({"frameworks": [{"name": "jax", "path": "x"}]}, "frameworks: unknown key 'path'.* Known: label, name, python"),
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


def test_an_entry_of_frameworks_is_a_name_or_says_more(tmp_path: Path) -> None:
    given = ["numpy", {"name": "jax"}, {"name": "jax", "python": "envs/old/bin/python", "label": "old-1.0"}]
    config = Config.parse({"frameworks": given})
    old = Entry("jax", "envs/old/bin/python", "old-1.0")
    assert config.frameworks == ("numpy", "jax", old)
    assert config.to_dict()["frameworks"] == ["numpy", "jax", given[2]]
    assert Config.parse(config.to_dict()) == Config().replace(frameworks=config.frameworks) == config
    assert Config.parse({"frameworks": given[2]}).frameworks == (old,)
    assert Config.parse({"interpreters": {}}) == Config()  # as results files of before have it


def test_the_path_of_an_interpreter_starts_at_the_working_directory(tmp_path: Path) -> None:
    config = Config(
        frameworks=("numpy", Entry("jax", "../old/bin/python"), Entry("jax", "python3.12"), Entry("jax", "/p/x"))
    )
    _, relative, command, absolute = config.at(tmp_path / "here").frameworks
    assert relative == Entry("jax", f"{tmp_path}/old/bin/python")
    assert (command, absolute) == config.frameworks[2:]


def test_a_value_given_twice_runs_once() -> None:
    assert Config.parse({"batch_sizes": [32, "32", 64]}).batch_sizes == (32, 64)


@pytest.mark.parametrize("written", ["1e3", "1E3", "1e+3", "1.e3", "1.0e3", "1000", "1.0e+3", "1000.0"])
def test_a_power_of_ten_is_a_number_where_one_is_wanted(written: str, tmp_path: Path) -> None:
    """YAML 1.1 reads 1e3 as text, since it has no point and no sign."""
    path = tmp_path / "c.yaml"
    path.write_text(
        f"time_limit_s: {written}\nseed: {written}\nbatch_sizes: [{written}]\nmeasure: {{queries: {written}}}\n"
        f"limits: {{value_seconds: {written}}}\noutput: '1e3'\ndata_dir: 1e3\n"
    )
    config = Config.load(str(path))
    assert (config.time_limit_s, config.seed, config.batch_sizes) == (1000, 1000, (1000,))
    assert (config.measure.queries, config.limits.value_seconds) == (1000, 1000)
    assert {type(each) for each in (config.seed, config.batch_sizes[0], config.measure.queries)} == {int}
    assert (config.output, config.data_dir) == ("1e3", "1e3")


def test_the_name_of_a_file_may_be_too_long() -> None:
    with pytest.raises(ConfigError, match=r"--config: no file 'a+\.\.\., and no shipped configuration"):
        Config.load("a" * 5000)


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
        ({"limits": []}, r"limits: \[\] is not a mapping of value_seconds"),
        ({"measure": {"queries": 0}}, "measure: queries: 0 is not a whole number of at least 1"),
    ],
)
def test_thresholds_are_checked(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config.parse(data)


def test_a_config_survives_its_own_dict() -> None:
    config = Config(models=("mlp",), measure=Measure(queries=20), dataset={"mlp": "digits"}, threads=1)
    assert Config.parse(config.to_dict()) == config
