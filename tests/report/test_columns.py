"""The README's table of columns is the one that the code has."""

from pathlib import Path

from mlbench_core.report.columns import columns_table
from mlbench_core.results.row import COLUMNS

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_table_of_columns() -> None:
    assert columns_table() in README.read_text(encoding="utf-8")


def test_every_column_is_explained() -> None:
    assert all(column.name and column.label and column.meaning for column in COLUMNS)
    labels = [column.label for column in COLUMNS]
    assert len(set(labels)) == len(labels)
