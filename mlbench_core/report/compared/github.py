"""GitHub's job summary and annotations."""

from __future__ import annotations

import os
from pathlib import Path

from mlbench_core.compare.judge import RunComparison
from mlbench_core.errors import ConfigError
from mlbench_core.plain_text import clean

MOST_ANNOTATIONS = 10
"""GitHub shows ten of a kind per step."""
LARGEST_SUMMARY = 1024 * 1024
"""Bytes of a step's summary."""


def append_summary(text: str) -> None:
    """Appends to the file that GITHUB_STEP_SUMMARY names; a line instead where that would be too full.

    Raises ConfigError if it is not set.
    """
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        raise ConfigError(
            "--github: GITHUB_STEP_SUMMARY is not set: this is no step of GitHub Actions; leave --github out"
        )
    path = Path(name)
    held = path.stat().st_size if path.exists() else 0
    if held + len(text.encode()) > LARGEST_SUMMARY:
        text = "The comparison does not fit this summary any more; its exports have it.\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def error_commands(comparison: RunComparison) -> list[str]:
    """A workflow command for each slower cell, ten at most, the last saying how many more there are."""
    slower = [one for one in comparison.judged if one.verdict == "slower"]
    lines = []
    for one in slower[: MOST_ANNOTATIONS if len(slower) <= MOST_ANNOTATIONS else MOST_ANNOTATIONS - 1]:
        assert one.ratio is not None
        lines.append(
            f"::error title=slower::{_data(f'{one.cell.name}, {one.metric}: {one.ratio.value:.3f} of the speed')}"
        )
    if len(slower) > len(lines):
        lines.append(f"::error title=slower::and {len(slower) - len(lines)} more cells")
    return lines


def _data(text: str) -> str:
    """As a workflow command's message; a name cannot begin a command of its own."""
    return clean(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
