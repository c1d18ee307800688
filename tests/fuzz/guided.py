"""One loader under atheris, which keeps what reaches new branches: `python guided.py LOADER RUNS FOLDER`.

A process of its own, since atheris ends the process when it is done; its status is 0 if nothing was found.
"""

from __future__ import annotations

import ctypes
import hashlib
import random
import re
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

# Not PyYAML: counting its branches took nearly all of the time, a second and more for some files.
with atheris.instrument_imports(include=["mlbench_core"]):
    from mutate import LARGEST, mutated
    from targets import fault, targets


def main() -> None:
    """Fuzzes until so many files were tried, or one is at fault: then it prints what is wrong, and leaves the file."""
    name, runs, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    target = next(each for each in targets(folder) if each.name == name)
    corpus = folder / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(seed)

    def once(content: bytes) -> None:
        wrong = fault(target, content, folder / target.file)
        if re.fullmatch(
            r"it took [0-9.]+ s", wrong
        ):  # maybe only because its branches are counted: the campaign looks again
            (folder / f"slow-{name}-{hashlib.sha256(content).hexdigest()[:12]}").write_bytes(content)
        elif wrong:
            raise RuntimeError(f"{name}: {wrong}")

    def edit(content: bytes, most: int, seed: int) -> bytes:
        return mutated(content, random.Random(seed))[:most]

    limits = [
        f"-runs={runs}",
        f"-max_len={LARGEST}",
        "-timeout=60",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        "-seed=19",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(corpus)], once, custom_mutator=edit)
    # Atheris has hung as it left: what it keeps of `edit` wanted the interpreter's lock, which nobody gave up any more. So the
    # process leaves just before that, with the status that libFuzzer has for it.
    libc = ctypes.CDLL(None)
    libc.on_exit(libc._exit, None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
