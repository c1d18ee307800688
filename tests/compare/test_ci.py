"""The workflow of docs/how-to/ci.md, step by step, with the configuration that stands below it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "ci.md"


@pytest.mark.long
def test_the_workflow_does_what_the_document_says(tmp_path: Path) -> None:
    workflow, config = (
        yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    )
    (tmp_path / "ci.yaml").write_text(yaml.safe_dump(config))
    summary = tmp_path / "summary.md"
    environment = {
        **os.environ,
        "GITHUB_STEP_SUMMARY": str(summary),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    statuses = {}
    for step in workflow["jobs"]["benchmark"]["steps"]:
        command = step.get("run", "")
        if not command.startswith("mlbench"):
            continue  # checking out, installing and commenting are the runner's
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        statuses[step["name"]] = done.returncode
        # The same code twice: slower, if anything, by chance on a busy machine, and not by 5 %.
        assert done.returncode == 0, done.stdout + done.stderr
    assert list(statuses) == ["base", "new", "compare"]
    assert (tmp_path / "comparison.md").read_text().rstrip().endswith("<!-- mlbench-compare -->")
    assert (tmp_path / "comparison.xml").is_file()
    assert "mlbench-compare" in summary.read_text()
