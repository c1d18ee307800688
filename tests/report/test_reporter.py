"""A run ends with its report, which is what `mlbench report` makes of its results file."""

import subprocess
import sys
from pathlib import Path

import pytest
from made import made

from mlbench_core import Suite
from mlbench_core.registry import load_registry
from mlbench_core.report.headline import title_of
from mlbench_core.report.html import write_html
from mlbench_core.results.storage import NAME, load

FEW = {"frameworks": ["numpy"], "models": ["mlp"], "batch_sizes": [32], "num_epochs": 1, "blocks": 1}


@pytest.fixture
def with_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLBENCH_DISABLE_PLUGINS")


@pytest.mark.usefixtures("with_report")
@pytest.mark.long
def test_a_run_ends_with_the_report_of_its_results(tmp_path: Path, quick: dict[str, float]) -> None:
    Suite(**FEW, output=str(tmp_path / "run"), measure=quick).run(verify=False)
    file = tmp_path / "run" / NAME
    results = load(file)
    written = write_html(results, tmp_path / "again", title_of(results), source=file)
    assert tmp_path / "again/report.html" in written
    assert len(written) > 5
    for path in written:
        assert (tmp_path / "run" / path.relative_to(tmp_path / "again")).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("with_report")
def test_results_are_written_before_the_report_is(tmp_path: Path) -> None:
    names = list(load_registry(tmp_path).reporters)
    assert names.index("json") < names.index("csv") < names.index("report")


@pytest.mark.usefixtures("with_report")
def test_no_plugin_of_the_core_loads_what_draws(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from mlbench_core.registry import load_registry; load_registry(Path('.'));"
    code += "print(sorted({'matplotlib', 'jinja2', 'pandas', 'seaborn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "[]\n"


def test_no_chart_of_an_earlier_report_stays(tmp_path: Path) -> None:
    few = {"models": ["mlp"], "batch_sizes": [32], "blocks": 2}
    write_html(made(**few), tmp_path, "two")
    assert (tmp_path / "charts/forest.svg").exists()
    write_html(made(**few, frameworks=["jax"]), tmp_path, "one")
    assert not list(tmp_path.glob("charts/forest.*"))
    assert (tmp_path / "charts/throughput.png").exists()
