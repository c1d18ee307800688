"""The kit for reporters: subclass `ReporterConformance`, name your descriptor, and it is given runs of every sort.

In your package's tests::

    from my_package.plugin import register_reporters
    from mlbench_core.testing.reporters import ReporterConformance

    class TestMine(ReporterConformance):
        descriptor = register_reporters()[0]
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from mlbench_core.plugins import attribute
from mlbench_core.results import Results
from mlbench_core.results.storage import NAME, save
from mlbench_core.testing.made_runs import RUNS
from mlbench_core.testing.parent import DescriptorConformance


class ReporterConformance(DescriptorConformance):
    """needs_file: whether it reads benchmark_results.json in its folder, which is written first if it does."""

    needs_file: ClassVar[bool] = False

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.write]

    @classmethod
    def write(cls, results: Results, folder: Path) -> list[Path]:
        """What the reporter says that it wrote, each of which must be a file in the folder."""
        if cls.needs_file:
            save(results, folder / NAME)
        found = attribute(cls.descriptor.write)(results, folder)
        right = isinstance(found, (list, tuple)) and all(isinstance(each, Path) for each in found)
        assert right, f"{cls.descriptor.write} returned {found!r}, not a list of the paths that it wrote"
        for path in found:
            assert path.exists(), f"it says that it wrote {path}, which does not exist"
            assert path.resolve().is_relative_to(folder.resolve()), (
                f"it wrote {path}, outside the folder that it was given"
            )
        return list(found)

    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A run's folder; the working directory is another one, which must stay empty."""
        (tmp_path / "here").mkdir()
        (tmp_path / "run").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        return tmp_path / "run"

    @pytest.mark.parametrize("run", sorted(RUNS))
    def test_it_writes_into_its_folder(self, run: str, folder: Path) -> None:
        assert self.write(RUNS[run](), folder), "it says that it wrote nothing"
        strays = sorted(path.name for path in Path.cwd().iterdir())
        assert not strays, f"it wrote {', '.join(strays)} where it was started: write below the folder that it is given"

    def test_it_says_all_that_it_wrote(self, folder: Path) -> None:
        said = {path.resolve() for path in self.write(RUNS["whole"](), folder)} | {(folder / NAME).resolve()}
        every = [path.resolve() for path in folder.rglob("*") if path.is_file()]
        silent = [path.name for path in every if not said & {path, *path.parents}]
        assert not silent, (
            f"it wrote {', '.join(sorted(silent))} and does not return it: the run's last line names what was written"
        )

    def test_it_changes_no_results(self, folder: Path) -> None:
        results = RUNS["whole"]()
        self.write(results, folder)
        assert results == RUNS["whole"](), "it changed the results, which the next reporter gets"

    def test_it_can_write_again(self, folder: Path) -> None:
        first = self.write(RUNS["whole"](), folder)
        again = self.write(RUNS["whole"](), folder)
        assert sorted(first) == sorted(again), "a run that is resumed has its files written again, under the same names"

    def test_it_prints_nothing(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.write(RUNS["whole"](), folder)
        said = capsys.readouterr()
        assert not said.out + said.err, (
            f"it prints {(said.out + said.err).splitlines()[0]!r}: mlbench says what was written"
        )
