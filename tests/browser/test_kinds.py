"""Reports of every kind of results are in order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made import made
from pages import check

from mlbench_core.report.html import write_html

HOSTILE = "</script><img src=x onerror=alert(1)>|$\\frac{1}{2}$\n\x1b[31m\u202e=1+1"
LONG = "a-name-without-a-single-place-to-break-it-" * 5
FEW: dict[str, Any] = {"models": ["mlp"], "batch_sizes": [32], "blocks": 2}
KINDS: dict[str, dict[str, Any]] = {
    "many": {"models": [f"model-{number}" for number in range(12)], "batch_sizes": [32], "blocks": 2},
    "one block": {"models": ["mlp"], "blocks": 1},
    "stopped": {"failed": ["jax"], "unstable": ["tensorflow"], "interrupted": True, "blocks": 2},
    "not verified": FEW | {"verified": False},
    "not comparable": FEW | {"not_comparable": ["jax"]},
    "one framework": FEW | {"frameworks": ["jax"]},
    "hostile": FEW | {"frameworks": [HOSTILE, "=2", LONG], "models": [HOSTILE, LONG]},
    "a GPU": FEW | {"devices": ["cpu", "cuda:0"], "precisions": ["fp32", "bf16"], "executions": ["default", "compiled"]},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_in_order(kind: str, tmp_path: Path, visit: Callable[..., Any], axe: str) -> None:
    write_html(made(**KINDS[kind]), tmp_path, kind)
    check(visit(tmp_path / "report.html"), axe)
