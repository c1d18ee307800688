"""What reads files of unknown origin: each with files that are right, to be damaged, and the judgement of one attempt."""

from __future__ import annotations

import json
import resource
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from attrs import evolve, frozen
from made import made

from mlbench_core.compare.kept import taken
from mlbench_core.config import SHIPPED, Config
from mlbench_core.entry import Entry
from mlbench_core.errors import MlbenchError
from mlbench_core.results import Results
from mlbench_core.results.compared import METRICS
from mlbench_core.results.storage import NAME, save
from mlbench_core.runner.journal import NAME as JOURNAL
from mlbench_core.runner.journal import Header, Journal, sum_of
from mlbench_core.runner.journal_reader import read

LONGEST_S = 1.0
"""Of the processor's time; other processes do not count."""
MOST_BYTES = 500 * 2**20


@frozen
class Target:
    """A loader. seeds: whole files that it takes. name: of the file, where that matters."""

    name: str
    file: str
    seeds: tuple[bytes, ...]
    load: Callable[[Path], object]


def targets(folder: Path) -> list[Target]:
    """All loaders; the folder is written to."""
    results = made(["jax", "numpy"], ["mlp"], [32], 2, queries=5, values=3)
    stored = save(results, folder / NAME).read_bytes()
    journal = _journal(folder / JOURNAL, results)
    unsigned = b"".join(b"{" + line.partition(b", ")[2] for line in journal.splitlines(keepends=True))
    shipped = [path.read_bytes() for path in sorted(SHIPPED.glob("*.yaml"))]
    frameworks = ("all", Entry("jax", "python3", "old-1.0"))
    config = Config(dataset={"mlp": "digits", "default": "synthetic"}, frameworks=frameworks).to_dict()
    aliases = (
        b"models: &m [mlp, resnet18]\nframeworks: *m\nmeasure: &d {queries: 0x10}\nlimits: {<<: *d}\nseed: 1_000\n"
    )
    return [
        Target(
            "configuration",
            "c.yaml",
            (*shipped, json.dumps(config).encode(), aliases, stored[:3000]),
            lambda path: Config.load(str(path)),
        ),
        Target("results", "r.json", (stored, json.dumps(json.loads(stored), indent=1).encode()), _results),
        Target("journal", "j.jsonl", (journal,), read),
        Target("forged journal", "f.jsonl", (unsigned,), lambda path: read(_signed(path))),
    ]


def _journal(path: Path, results: Results) -> bytes:
    """Of a run in two parts."""
    facts = results.machines["made"]
    header = Header(
        run="r", started="2026-11-01T00:00:00+00:00", mlbench="1", config_digest="d", config=results.config, folder=".",
        planned={"models": ["mlp"]}, seed=0, machine="made", facts=facts, versions={"jax": {"jax": "1.0"}},
    )  # fmt: skip
    first = Journal(path, header)
    first.add_parity(results.parity)
    for record in results.records[:3]:
        first.add(record, facts)
    first.close()
    found = read(path)
    assert found is not None
    second = Journal(path, header, found.end)
    second.add(evolve(results.records[3], machine="other"), {"cpu": "another"})
    second.close()
    return path.read_bytes()


def _signed(path: Path) -> Path:
    """Lines without checksums get those that they would have: whoever damages them does so by intent."""
    before, lines = "", []
    for line in path.read_bytes().splitlines(keepends=True):
        content = line.removesuffix(b"\n")[1:]
        before = sum_of(before, content)
        lines.append(b'{"sum": "%s", ' % before.encode() + content + b"\n" * line.endswith(b"\n"))
    path.write_bytes(b"".join(lines))
    return path


def _results(path: Path) -> None:
    """Loaded, and reduced as a comparison does it, by all metrics."""
    taken(Results.load(path), METRICS)


def fault(target: Target, content: bytes, path: Path) -> str:
    """What is wrong with how the loader takes a file; empty if it loads, or is refused in one line, soon and in little memory.

    Memory is the process's high-water mark: it tells only of the file that raised it.
    """
    path.write_bytes(content)
    before, start = highest(), time.process_time()
    try:
        target.load(path)
    except MlbenchError as error:
        if not str(error) or not str(error).isprintable():
            return f"not one line that can be printed: {str(error)!r:.300}"
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        return "".join(traceback.format_exception(error))
    seconds, more = time.process_time() - start, highest() - before
    spent = [f"{seconds:.2f} s"] if seconds > LONGEST_S else []
    spent += [f"{more / 2**20:.0f} MiB"] if more > MOST_BYTES else []
    return f"it took {' and '.join(spent)}" if spent else ""


def highest() -> int:
    """Bytes of this process's resident memory at its highest so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
