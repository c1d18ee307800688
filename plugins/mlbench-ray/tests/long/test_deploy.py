"""What is written for Slurm and Kubernetes, as far as one machine can do it: the script with two hosts that are this one."""

import os
import shlex
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import yaml
from ray.scripts.scripts import start

from mlbench_core import Results

DEPLOY = Path(__file__).parents[2] / "deploy"
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/usr/bin/env bash
[[ "$1 $2 $3" == "show hostnames a[1-2]" ]] && printf 'a1\\na2\\n'
"""
MLBENCH = """#!/usr/bin/env bash
exec python -c 'from mlbench_core.cli import main; main()' "$@"
"""


def test_the_slurm_script_makes_a_cluster_and_runs_on_it(tmp_path: Path, environ: dict[str, str]) -> None:
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "mlbench": MLBENCH}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with socket.socket() as one:
        one.bind(("", 0))
        port = one.getsockname()[1]
    environment = {
        **environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SLURM_JOB_NODELIST": "a[1-2]",
        "MLBENCH_RAY_PORT": str(port),
        "MLBENCH_STORE_BYTES": str(100 * 2**20),
    }
    options = "--frameworks fake --models mlp --dataset synthetic:8/2@64 --batch-sizes 8 16 --epochs 1 --no-verify --output out"
    command = ["bash", str(DEPLOY / "slurm.sh"), *shlex.split(options)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)
    left = [one for one in psutil.process_iter(["cmdline"]) if str(port) in " ".join(one.info["cmdline"] or [])]
    assert not psutil.wait_procs(left, timeout=60)[1]
    results = Results.load(str(tmp_path / "out"))
    assert [record.status for record in results.records] == ["ok"] * 3
    assert len({record.place for record in results.records}) == 1


def test_ray_takes_the_parameters_of_the_kubernetes_manifest() -> None:
    manifest: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes.yaml").read_text())
    spec = manifest["spec"]
    (workers,) = spec["workerGroupSpecs"]
    for group, always in ((spec["headGroupSpec"], ["--head"]), (workers, ["--address", "head:6379"])):
        # KubeRay writes each of them as `--name=value` into a line for a shell.
        line = " ".join(f"--{name}={value}" for name, value in group["rayStartParams"].items())
        found = start.make_context("start", [*always, *shlex.split(line)])
        assert found.params["num_cpus"] == (0 if always == ["--head"] else None)
    assert found.params["resources"] == '{"mlbench": 1}'
    pod = workers["template"]["spec"]["containers"][0]["resources"]
    assert pod["requests"] == pod["limits"]
    pinned = Path(__file__).parents[4].joinpath("constraints.txt").read_text()
    assert f"ray=={spec['rayVersion']}\n" in pinned
