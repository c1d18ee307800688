"""RESULTS.md and ANALYSIS.md: the figures are the results' own, and hostile names stay names."""

import re
from pathlib import Path

from attrs import evolve
from made import made

from mlbench_core.report.markdown import write_markdown

HOSTILE = "<script>a|b\n$\\frac{"


def test_both_files_hold_the_figures_of_the_results(tmp_path: Path) -> None:
    results = made(models=["mlp"], batch_sizes=[32])
    paths = write_markdown(results, tmp_path, "A title")
    assert [path.name for path in paths] == ["RESULTS.md", "ANALYSIS.md"]
    text, analysis = (path.read_text(encoding="utf-8") for path in paths)
    for pair in results.comparisons:
        assert pair.ratio is not None
        assert f"| {pair.metric} | {pair.a} | {pair.b} | {pair.ratio.value:.3f} |" in text
    assert "Of 6 comparisons of throughput and latency the verdicts are: 6 faster." in analysis
    assert "Take jax. By training throughput, jax is 1.2" in analysis
    assert re.search(r"jax starts later than pytorch and has caught up at step [\d,]+\.", analysis)
    assert write_markdown(results, tmp_path, "A title")[0].read_text(encoding="utf-8") == text


def test_tables_have_the_same_number_of_cells_whatever_the_names(tmp_path: Path) -> None:
    results = made(frameworks=[HOSTILE, "b"], models=["|", "`x"], batch_sizes=[32], blocks=2)
    for path in write_markdown(results, tmp_path, HOSTILE):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1, block


def test_nothing_at_all_is_a_report_too(tmp_path: Path) -> None:
    nothing = evolve(made(models=["mlp"], frameworks=["jax"], blocks=1), records=(), parity=())
    for path in write_markdown(nothing, tmp_path, "empty"):
        assert "Nothing was compared" in path.read_text(encoding="utf-8") or path.name == "RESULTS.md"
