"""Marks as long what takes long and is inherited from a kit, which cannot carry this repository's marks."""

import pytest

LONG = (
    "test_lock_step_in_every_other_execution",
    "test_without_a_fault_every_rung_holds",
    "tests/testing/test_kits.py::TestReport::",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest chooses by `-m`."""
    for item in items:
        if any(part in item.nodeid for part in LONG):
            item.add_marker(pytest.mark.long)
