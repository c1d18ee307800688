"""Damaged configurations, results files and journals load or are refused in one line: a short part of `nox -s fuzz`."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutate import LAUGHS, mutated
from targets import Target, fault, highest, targets

CASES = 400
"""Of each loader at random, half as many by Hypothesis; a few seconds."""
NAMES = ("configuration", "results", "journal", "forged journal")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def known(place: Path) -> dict[str, Target]:
    return {target.name: target for target in targets(place)}


def test_every_loader_is_here(known: dict[str, Target]) -> None:
    assert set(known) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_right_loads(name: str, known: dict[str, Target], place: Path) -> None:
    whole = known[name].seeds[:2]
    for content in whole:
        path = place / known[name].file
        path.write_bytes(content)
        known[name].load(path)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_damaged_at_random_loads_or_is_one_line(name: str, known: dict[str, Target], place: Path) -> None:
    target, rng = known[name], random.Random(19)
    for number in range(CASES):
        content = mutated(rng.choice(target.seeds), rng)
        assert fault(target, content, place / target.file) == "", (number, content[:2000])


@pytest.mark.parametrize("name", NAMES)
def test_hypothesis_finds_no_file_that_is_none_of_both(name: str, known: dict[str, Target], place: Path) -> None:
    target = known[name]

    @settings(max_examples=CASES // 2, deadline=None)
    @given(seed=st.sampled_from(target.seeds), rng=st.randoms(use_true_random=False))
    def run(seed: bytes, rng: random.Random) -> None:
        assert fault(target, mutated(seed, rng), place / target.file) == ""

    run()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content",
    [
        LAUGHS.encode(),
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"9" * 200_000,
        b'{"' + b"k" * 200_000 + b'": 1}',
        b"- [" * 20_000,
        b"[[],[]," * 9_000,
        b"a: b\n" * 12_000,
        b"? " * 30_000,
        b"\xff" * 10_000,
        b"&a " * 20_000,
        b"{a: [" * 12_000,
        b'"' + b"\\ud800" * 10_000 + b'"',
        b"x" * 65_000,
        b"# c\n" * 16_000,
        b"[a, " * 16_000,
        b"a, " * 21_000,
        b'{\n"schema": "mlbench-results",\n"config": ' + b'{"a":' * 15_000,
        b"[" + b"1," * 32_000 + b"]",
        b"{" + b"".join(b"k%d: 1," % number for number in range(7_000)) + b"}",
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_made_to_be_slow_or_large_is_refused_soon(
    name: str, content: bytes, known: dict[str, Target], place: Path
) -> None:
    assert fault(known[name], content, place / known[name].file) == ""


@pytest.mark.parametrize(
    "wrong", [["x"] * 300_000, "x" * 300_000, {str(number): "x" for number in range(100_000)}], ids=type
)
@pytest.mark.parametrize("key", ["values", "phases"])
def test_much_that_does_not_fit_is_refused_at_the_first(
    key: str, wrong: object, known: dict[str, Target], place: Path
) -> None:
    target = known["results"]
    data = json.loads(target.seeds[0])
    data["records"][0]["measured"][key] = wrong
    assert fault(target, json.dumps(data).encode(), place / target.file) == ""


def test_a_fault_is_told(place: Path) -> None:
    """The judgement itself can fail."""

    def broken(path: Path) -> None:
        raise KeyError("x")

    def slow(path: Path) -> None:
        sum(range(200_000_000))

    assert "KeyError: 'x'" in fault(Target("broken", "b", (b"",), broken), b"", place / "b")
    assert fault(Target("slow", "s", (b"",), slow), b"", place / "s").startswith("it took ")
    # Filling that much memory may take longer than a loader may, so both may be told.
    assert "MiB" in fault(Target("large", "l", (b"",), lambda path: b"x" * (highest() + 600 * 2**20)), b"", place / "l")
