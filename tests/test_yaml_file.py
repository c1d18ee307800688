"""Files that hold a configuration: what is malformed, ambiguous or absurd is one line with its place, and costs no time."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlbench_core.config import Config
from mlbench_core.errors import ConfigError
from mlbench_core.yaml_file import LARGEST_FILE, load

MLBENCH = str(Path(sys.executable).with_name("mlbench"))

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = {
    "a date that is none": ("models: [mlp]\noutput: 2026-13-45\n", "line 2, column 9: 2026-13-45 looks like a date"),
    "a date": ("output: 2026-01-05\n", "line 1, column 9: 2026-01-05 looks like a date to YAML: put it in quotes"),
    "a tag": ("seed: !!int abc\n", "line 1, column 7: the tag 'tag:yaml.org,2002:int' has no place"),
    "a tag of Python": ("seed: !!python/object:os.system {}\n", "line 1, column 7: the tag "),
    "a tag of no kind": ("seed: ! 7\n", "line 1, column 7: the tag '!' has no place"),
    "a long number": (f"seed: {'9' * 5000}\n", "line 1, column 7: a text of 5000 characters"),
    "a longish number": (f"seed: {'9' * 50}\n", "line 1, column 7: a number of 50 characters; at most 40 are taken"),
    "a long hexadecimal number": (f"seed: 0x{'f' * 60}\n", "line 1, column 7: a number of 62 characters"),
    "no number": ("seed: 0x_\n", "line 1, column 7: 0x_ looks like a number and is none"),
    "deep lists": (f"models: {'[' * 10_000}", "line 1, column 28: nested more than 20 deep"),
    "deep mappings": (f"dataset: {'{a: ' * 5000}", "nested more than 20 deep"),
    "a billion laughs": (LAUGHS + "models: *i\n", "line 5, column 4: more than 10000 values from here"),
    "a list in itself": ("models: &m [mlp, *m]\n", "line 1, column 18: *m is part of itself"),
    "a key in itself": ("dataset: &d {mlp: *d}\n", "line 1, column 19: *d is part of itself"),
    "a key given twice": (
        "seed: 1\nmodels: [mlp]\nseed: 2\n",
        "line 3, column 1: seed is given twice; first in line 1",
    ),
    "a model given twice": ("dataset: {mlp: digits, 'mlp': x}\n", "line 1, column 24: mlp is given twice"),
    "a key of JSON given twice": ('{"seed": 1,\n "seed": 2}', "line 2, column 2: seed is given twice"),
    "half of a pair given twice": ('"\\ud800": 1\n"\\ud800": 2\n', "line 2, column 1: \\ud800 is given twice"),
    "a long key given twice": (f"{'k' * 900}: 1\n{'k' * 900}: 2\n", "kkk... is given twice"),
    "an octal number": ("batch_sizes: [8, 010]\n", "line 1, column 18: 010 starts with a zero, as octal numbers do"),
    "hardly octal": ("seed: 08\n", "line 1, column 7: 08 starts with a zero"),
    "minutes": ("time_limit_s: 1:30\n", "line 1, column 15: 1:30 is a number to the base of 60"),
    "a Norwegian": ("models: [no]\n", "line 1, column 10: no is a yes or a no to YAML"),
    "a list as a key": ("? [a]\n: b\n", "line 1, column 3: a list or a mapping cannot be a key"),
    "a control character": (
        "models: [mlp]\nseed: \x07\n",
        "not valid YAML or JSON at line 2, column 7: special characters",
    ),
    "two documents": (
        "seed: 1\n---\nseed: 2\n",
        "not valid YAML or JSON at line 2, column 1: but found another document",
    ),
    "an alias of nothing": ("seed: *s\n", "not valid YAML or JSON at line 1, column 7: found undefined alias 's'"),
    "a tabulator": ("models:\n\t- mlp\n", "not valid YAML or JSON at line 2, column 1"),
    "half a text": ('models: ["mlp]\n', "not valid YAML or JSON at line 2, column 1: found unexpected end of stream"),
    "a merge of nothing": ("<<: 3\n", "not valid YAML or JSON at line 1, column 5"),
    "a large file": ("# nothing\n" * 7000, f"more than {LARGEST_FILE // 1024} KiB"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_wrong_is_one_line_with_its_place(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError) as error:
        Config.load(str(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 200


@pytest.mark.parametrize(
    "content", ["output: 2026-13-45\n", "seed: !!int abc\n", "a: " + "[" * 3000, "seed: 1\nseed: 2\n"]
)
def test_the_command_line_says_it_with_status_2(content: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(content)
    done = subprocess.run(
        [MLBENCH, "run", "--config", "c.yaml"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mlbench: error: c.yaml: line ")
    assert done.stderr.count("\n") == 1


def test_what_people_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "defaults: &d {queries: 0x10, blocks: 1_000}\n"
        "here: {<<: *d, queries: 3}\n"
        "there: *d\n"
        "output: '2026-01-05'\n"
        'name: "010"\n'
        "quoted: 'no'\n"
        "flag: True\n"
        "nothing: ~\n"
        "block: |\n  a\n  b\n"
        "zero: 0\n"
        "small: 0.05\n"
        "version: 1.2.3\n"
    )
    assert load(path) == {
        "defaults": {"queries": 16, "blocks": 1000},
        "here": {"queries": 3, "blocks": 1000},
        "there": {"queries": 16, "blocks": 1000},
        "output": "2026-01-05",
        "name": "010",
        "quoted": "no",
        "flag": True,
        "nothing": None,
        "block": "a\nb\n",
        "zero": 0,
        "small": 0.05,
        "version": "1.2.3",
    }


PIECES = [
    "a",
    "b: ",
    "seed",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\n",
    "  ",
    "&x ",
    "*x",
    "<<",
    "!!int ",
    "!",
    "? ",
    "| ",
    "> ",
]
PIECES += [
    "'",
    '"',
    "\\u",
    "\\",
    "0",
    "0x",
    "_",
    "1",
    ".",
    "e",
    "+",
    "-",
    "~",
    "2026-13-45",
    "1:30",
    "---\n",
    "...",
    "%",
    "#",
    "\t",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.lists(st.sampled_from(PIECES) | st.characters(codec="utf-8"), max_size=12).map("".join))
@example(content='a: "\\ud800"')
@example(content='a: "\\U00110000"')
@example(content="a: =")
@example(content="? ")
@example(content="")
def test_any_text_is_data_or_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content.encode())
    try:
        load(path)
    except ConfigError as error:
        assert str(error).startswith(f"{path}: ")
        assert len(str(error).splitlines()) == 1
