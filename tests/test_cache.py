"""`mlbench cache`: it shows what is kept and empties it; and a worker begins without what another has compiled."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlbench_core.architecture import Optimizer
from mlbench_core.errors import ConfigError
from mlbench_core.executor import Setting, inspect_request
from mlbench_core.executors import local
from mlbench_core.machine import cache
from mlbench_core.runner.turns import run_alone
from mlbench_core.trial import Inspection, Plan


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "cache"))
    sizes = {"parity/a.json": 100, "data/prepared/b/x.npy": 2_000_000, "durations/c.json": 9, "somebody/else.txt": 5}
    for name, size in sizes.items():
        file = tmp_path / "cache" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * size)
    return tmp_path / "cache"


def mlbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from mlbench_core.cli import main; sys.argv[0] = 'mlbench'; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_it_shows_what_is_kept_and_empties_it(folder: Path) -> None:
    shown = mlbench("cache")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == str(folder)
    assert [line.split()[:4] for line in lines[1:]] == [
        ["parity", "1", "files", "0.0"],
        ["data", "1", "files", "2.0"],
        ["durations", "1", "files", "0.0"],
    ]
    cleared = mlbench("cache", "clear")
    assert cleared.returncode == 0, cleared.stderr
    assert [path.name for path in folder.iterdir()] == ["somebody"]
    assert all("removed 1 files" in line for line in cleared.stdout.splitlines())
    assert mlbench("cache", "clear").stdout.count("removed 0 files") == 3


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLBENCH_CACHE", str(tmp_path / "none"))
    assert [one.size for one in cache.kept()] == [0, 0, 0]
    cache.clear()
    assert not (tmp_path / "none").exists()


def test_a_link_is_removed_and_what_it_leads_to_stays(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (folder / "parity").rename(elsewhere)
    (folder / "parity").symlink_to(elsewhere)
    cache.clear()
    assert (elsewhere / "a.json").is_file()
    assert not (folder / "parity").exists()


def test_what_cannot_be_removed_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.shutil, "rmtree", refuse)
    with pytest.raises(ConfigError, match="the cache: cannot remove '.*parity': Permission denied"):
        cache.clear()


def test_a_worker_has_an_empty_folder_of_its_own_that_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, tempfile\n"
        "own = tempfile.gettempdir()\n"
        "print('own', own, os.listdir(own), os.environ['CUDA_CACHE_PATH'].startswith(own), flush=True)\n"
        "open(os.path.join(own, 'compiled'), 'w').close()\n"
    )
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    seen = []
    for place in range(2):
        log = tmp_path / f"log{place}"
        plan = Plan(
            device="cpu", precision="fp32", execution="default", batch_size=1, threads=1, seed=0, task="infer",
            optimizer=Optimizer(name="sgd", learning_rate=0.1),
        )  # fmt: skip
        setting = Setting(python=sys.executable, time_limit_s=60, log=log)
        assert run_alone(local.run(inspect_request(Inspection("numpy", plan)), setting)).status == "ok"
        seen.append(next(line.split(maxsplit=2) for line in log.read_text().splitlines() if line.startswith("own ")))
    assert [rest for _, _, rest in seen] == ["[] True", "[] True"]
    folders = [Path(own) for _, own, _ in seen]
    assert len(set(folders)) == 2
    assert not any(own.exists() for own in folders)
