"""The journal is read with distrust: what was cut off is left out, any other damage is one line that says where."""

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from made import made

from mlbench_core.errors import JournalError
from mlbench_core.runner import journal_reader
from mlbench_core.runner.journal import NAME, Header, Journal, line_of, sum_of
from mlbench_core.runner.journal_reader import Contents, read

RESULTS = made(frameworks=("numpy", "toy"), models=("mlp",), batch_sizes=(32,), blocks=2, queries=10, values=3)
FACTS: Any = RESULTS.machines["made"]


def header(**changes: Any) -> Header:
    plain: dict[str, Any] = {
        "run": "r", "started": "2026-11-01T00:00:00+00:00", "mlbench": "26.11.1", "config_digest": "d",
        "config": RESULTS.config, "folder": "/somewhere", "seed": 0, "machine": "made", "facts": FACTS,
    }  # fmt: skip
    return Header(**(plain | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal in two parts: the header, parity and three records; then the resumption, another machine and a record."""
    path = tmp_path_factory.mktemp("journal") / NAME
    journal = Journal(path, header())
    journal.add_parity(RESULTS.parity)
    for record in RESULTS.records[:3]:
        journal.add(record, FACTS)
    journal.close()
    found = read(path)
    assert found is not None
    journal = Journal(path, header(started="2026-11-02T00:00:00+00:00", forced=("seed: 0 then, 1 now",)), found.end)
    journal.add(evolve(RESULTS.records[3], machine="other"), {"cpu": "another"})
    journal.close()
    return path.read_bytes()


def of(content: bytes, folder: Path) -> Contents | None:
    (folder / NAME).write_bytes(content)
    return read(folder / NAME)


def test_what_is_written_is_read(whole: bytes, tmp_path: Path) -> None:
    found = of(whole, tmp_path)
    assert found is not None
    assert [part for part, _ in found.records] == [0, 0, 0, 1]
    assert tuple(record for _, record in found.records[:3]) == RESULTS.records[:3]
    assert found.parity == RESULTS.parity
    assert found.headers[0] == header()
    assert [one.part.forced for one in found.headers] == [(), ("seed: 0 then, 1 now",)]
    assert found.machines == {"made": FACTS, "other": {"cpu": "another"}}
    assert (found.end.size, found.torn) == (len(whole), False)


def test_the_checksum_is_that_of_the_text_and_the_line_before() -> None:
    first, line = line_of("", "record", {"a": 1})
    assert line == b'{"sum": "' + first.encode() + b'", "kind": "record", "data": {"a": 1}}\n'
    # By coreutils: printf '"kind": "record", "data": {"a": 1}}' | sha256sum
    assert first == "d4e35152685ad243"
    assert sum_of(first, b"x") != sum_of("", b"x")


def test_a_line_is_on_the_disk_before_the_next_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    path = tmp_path / NAME
    monkeypatch.setattr("mlbench_core.runner.journal.os.fsync", lambda _descriptor: synced.append(_size(path)))
    journal = Journal(path, header())
    journal.add(RESULTS.records[0], FACTS)
    journal.close()
    one = len(path.read_bytes().splitlines(keepends=True)[0])
    assert synced == [one, one, path.stat().st_size]  # the second is of the folder, whose entry is new


def _size(path: Path) -> int:
    return path.stat().st_size


def test_a_last_line_that_was_cut_off_is_left_out(whole: bytes, tmp_path: Path) -> None:
    """Wherever it was cut; of the others nothing is lost."""
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    rng = random.Random(0)
    for size in {*rng.sample(range(len(whole)), 60), *ends, *(end - 1 for end in ends)}:
        found = of(whole[:size], tmp_path)
        finished = [end for end in ends if end <= size]
        if not finished:
            assert found is None
            continue
        assert found is not None
        assert (found.end.size, found.torn) == (finished[-1], size not in ends)
        assert len(found.records) == [0, 0, 1, 2, 3, 3, 3, 4][len(finished) - 1]


def test_a_run_goes_on_after_what_was_cut_off(whole: bytes, tmp_path: Path) -> None:
    found = of(whole[:-20], tmp_path)
    assert found is not None
    journal = Journal(tmp_path / NAME, header(), found.end)
    journal.add(RESULTS.records[5], FACTS)
    journal.close()
    again = read(tmp_path / NAME)
    assert again is not None
    assert [(part, record.trial.key) for part, record in again.records] == [
        *((0, record.trial.key) for record in RESULTS.records[:3]),
        (2, RESULTS.records[5].trial.key),
    ]
    assert not again.torn


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_other_damage_is_told_with_its_line(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A byte changed anywhere but in the line break at the very end."""
    place = data.draw(st.integers(0, len(whole) - 2))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    path = tmp_path_factory.getbasetemp() / NAME
    path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    with pytest.raises(JournalError) as caught:
        read(path)
    line = 1 + whole[:place].count(b"\n")
    assert str(caught.value).startswith(f"{path}: line {line}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda lines: [*lines[:3], *lines[4:]], 4),  # lost
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4),  # doubled
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3),  # swapped
        (lambda lines: lines[1:], 1),  # without its header
        (lambda lines: [b"\n", *lines], 1),
        (lambda lines: [*lines[:2], b"\0" * 100 + b"\n"], 3),
        (lambda lines: [b'{"key": "abc", "trial": {}}\n'], 1),  # of an older mlbench
    ],
)
def test_lines_cannot_be_lost_doubled_or_moved(whole: bytes, tmp_path: Path, edit: Any, line: int) -> None:
    with pytest.raises(JournalError, match=f"line {line}: "):
        of(b"".join(edit(whole.splitlines(keepends=True))), tmp_path)


def forged(*lines: tuple[str, Any]) -> bytes:
    """Lines whose checksums are right."""
    content, last = b"", ""
    for kind, value in lines:
        last, line = line_of(last, kind, value)
        content += line
    return content


PLAIN: dict[str, Any] = {
    "schema": "mlbench-journal", "schema_version": 1, "run": "r", "started": "", "mlbench": "1", "versions": {},
    "config_digest": "", "config": {}, "skipped": [], "verify": True, "folder": "/", "planned": {}, "seed": 0,
    "machine": "m", "facts": {}, "forced": [],
}  # fmt: skip
DEEP: list[Any] = []
for _ in range(500):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            [("header", {**PLAIN, "schema_version": 2})],
            "line 1: it is of schema version 2, and this mlbench reads version 1",
        ),
        ([("header", {**PLAIN, "schema": "other"})], "line 1: it has no 'schema'"),
        ([("header", None)], "line 1: it has no 'schema'"),
        ([("header", {**PLAIN, "config": {"modles": []}})], "line 1: config: unknown key 'modles'"),
        ([("header", {**PLAIN, "surprise": 1})], "line 1: "),
        ([("header", PLAIN), ("header", PLAIN)], "line 2: the header must be the first line"),
        ([("resumed", PLAIN)], "line 1: the header must be the first line"),
        ([("header", PLAIN), ("record", {"trial": 1})], "line 2: "),
        ([("header", PLAIN), ("record", DEEP)], "line 2: "),
        ([("header", PLAIN), ("parity", "fine")], "line 2: "),
        ([("header", PLAIN), ("machine", {"key": 1})], "line 2: 'machine' is no kind"),
        ([("header", PLAIN), ("surprise", {})], "line 2: 'surprise' is no kind"),
    ],
)
def test_what_no_run_writes_is_refused_even_where_checksums_are_right(
    lines: list[tuple[str, Any]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(JournalError) as caught:
        of(forged(*lines), tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_forged_line_that_is_no_json_is_refused(tmp_path: Path) -> None:
    for text in (b'"kind": oops}', b'"kind": ' + b"[" * 100_000 + b"}", b'"kind": ' + b"9" * 10_000 + b"}"):
        line = b'{"sum": "' + sum_of("", text).encode() + b'", ' + text + b"\n"
        with pytest.raises(JournalError, match="line 1: "):
            of(line, tmp_path)


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_reader, "LONGEST_LINE", 2**20)
    with pytest.raises(JournalError, match="line 1: longer than 1 MiB"):
        of(b"x" * (2**20 + 1), tmp_path)


def test_no_journal_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / NAME) is None
    assert of(b"", tmp_path) is None
    with pytest.raises(JournalError, match="cannot be read"):
        read(tmp_path)


def test_a_journal_that_was_removed_is_not_written_to_unnoticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / NAME, header())
    (tmp_path / NAME).unlink()
    with pytest.raises(JournalError, match="was removed while the run wrote to it"):
        journal.add(RESULTS.records[0], FACTS)
    journal.close()


def test_a_full_disk_is_one_line_that_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(tmp_path / NAME, header())
    monkeypatch.setattr("mlbench_core.runner.journal.os.fsync", full)
    with pytest.raises(JournalError, match="No space left on device.*mlbench resume"):
        journal.add(RESULTS.records[0], FACTS)
    journal.close()
