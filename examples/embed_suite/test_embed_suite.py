"""It decides by the verdict: for the faster of two, for neither when there is no difference, or when one fails."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from attrs import evolve

from mlbench_core.results.compared import TRAINING
from mlbench_core.testing.made_runs import RUNS

SCRIPT = Path(__file__).with_name("embed_suite.py")
QUICK = {"warmup_seconds": 0, "steady_limit": 0, "min_values": 3, "min_seconds": 0, "latency_steps": 20, "queries": 20}


@pytest.fixture
def embed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("embed_suite", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_verdict_decides(embed: ModuleType) -> None:
    results = embed.measured("jax", "numpy", "mlp", measure=QUICK, extend_until=None, blocks=2)
    (found,) = (each for each in results.comparisons if each.metric == TRAINING.name)
    for verdict, framework in (("faster", found.a), ("slower", found.b), ("equivalent", None), ("inconclusive", None)):
        judged = SimpleNamespace(failures=results.failures, comparisons=(evolve(found, verdict=verdict),))
        for order in (("jax", "numpy"), ("numpy", "jax")):
            decision = embed.decide(judged, *order)
            assert decision.framework == framework, decision.why
            assert "ratio of speeds" in decision.why


def test_what_failed_decides_nothing(embed: ModuleType) -> None:
    failed = next(run for make in RUNS.values() for run in [make()] if run.failures())
    decision = embed.decide(failed, "a", "b")
    assert decision.framework is None
    assert " failed: " in decision.why


def test_the_script_says_what_it_lacks(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "jax", "no-such"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no-such" in done.stderr
