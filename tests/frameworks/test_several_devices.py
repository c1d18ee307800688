"""Several devices with equal parts of each batch train as one device with the whole: the parity ladder on virtual CPU devices.

Its lock-step compares 25 float64 steps with the reference's, which has one device: losses to 1e-9, weights to 1e-8.
"""

from pathlib import Path

import pytest
from normed import MODEL

from mlbench_core import Suite


@pytest.mark.parametrize(
    "devices", ["cpu*2", *(pytest.param(name, marks=pytest.mark.long) for name in ("cpu*4", "cpu*8"))]
)
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_several_devices_train_as_one(
    framework: str, devices: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlbenchfile.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    suite = Suite(
        frameworks=[framework],
        models=["mlp", "normed", "bert-tiny"],
        dataset="synthetic",
        devices=[devices],
        output="out",
    )
    found = {result.model: (result.verdict, result.why) for result in suite.verify(fresh=True)}
    logs = "".join(path.read_text()[-2000:] for path in Path("out/logs").glob("*.log"))
    assert found == dict.fromkeys(("mlp", "normed", "bert-tiny"), ("verified", "")), logs
