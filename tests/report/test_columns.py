"""The README's table of columns is the one that the code has; and how a column's figures are written."""

from pathlib import Path

import pytest

from mlbench_core.report.columns import columns_table
from mlbench_core.results.columns import decimal
from mlbench_core.results.row import COLUMNS

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_the_table_of_columns() -> None:
    assert columns_table() in README.read_text(encoding="utf-8")


def test_every_column_is_explained() -> None:
    assert all(column.name and column.label and column.meaning for column in COLUMNS)
    labels = [column.label for column in COLUMNS]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0.00"),
        (0.00004, "4e-05"),
        (0.00638, "0.00638"),
        (0.0233, "0.0233"),
        (0.44, "0.44"),
        (1234.567, "1,234.57"),
    ],
)
def test_a_decimal_tells_small_values_apart(value: float, shown: str) -> None:
    assert decimal(value) == shown
