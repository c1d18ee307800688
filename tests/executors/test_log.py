"""A log keeps the first and the last of what is printed, and costs nobody anything where it cannot be written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlbench_core.executors import log
from mlbench_core.executors.log import Log


@given(st.lists(st.binary(max_size=70), max_size=30))
def test_the_first_and_the_last_bytes_are_kept(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    path, printed = tmp_path_factory.getbasetemp() / "log", b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "FIRST", 100)
        patch.setattr(log, "LAST", 50)
        with Log(path) as kept:
            for part in parts:
                kept.write(part)
    found = path.read_bytes()
    if len(printed) <= 150:
        assert found == printed
    else:
        note = f"\n[mlbench: {len(printed) - 150} bytes are left out here]\n".encode()
        assert found == printed[:100] + note + printed[-50:]


def test_the_last_lines(tmp_path: Path) -> None:
    with Log(tmp_path / "log") as kept:
        kept.write(b"one\n\n  two  \n\xff\n" + b"w" * 1000)
        assert kept.last_lines(3) == ["two", "\ufffd", "w" * 500]


def test_a_folder_that_is_gone_is_made_again(tmp_path: Path) -> None:
    with Log(tmp_path / "logs" / "log") as kept:
        kept.write(b"here")
    assert (tmp_path / "logs" / "log").read_bytes() == b"here"


@pytest.mark.parametrize("place", ["/dev/full", "/proc/none/log"])
def test_a_disk_that_takes_nothing_costs_the_log_alone(place: str) -> None:
    with Log(Path(place)) as kept:
        kept.write(b"lost on the disk\n")
        kept.write(b"and known\n")
        assert kept.last_lines(9) == ["lost on the disk", "and known"]
