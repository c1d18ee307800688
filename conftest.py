"""For every test of this repository: signals as a terminal's programs find them, and marks on what is inherited from a kit."""

import signal

import pytest

LONG = (
    "test_lock_step_in_every_other_execution",
    "test_without_a_fault_every_rung_holds",
    "tests/testing/test_kits.py::TestReport::",
    "tests/testing/test_kits.py::TestBertTiny::test_parity",
)


def pytest_configure() -> None:
    """A shell's background job starts with SIGINT ignored, one under nohup with SIGHUP. Programs started here would inherit
    that, and rightly not end where tests of Ctrl-C and of closed terminals want them to."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest chooses by `-m`; marks as long what a kit, which cannot carry this repository's marks, hands down."""
    for item in items:
        if any(part in item.nodeid for part in LONG):
            item.add_marker(pytest.mark.long)
