"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def replace(path: Path, parts: Iterable[bytes]) -> Path:
    """Writes a file in one step, so that a kill at any moment leaves the old one or the new one; makes its folder.

    parts: the content, which need not be in memory at once. Returns the path. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def replace_bytes(path: Path, content: bytes) -> Path:
    """The same in one part."""
    return replace(path, [content])


def replace_text(path: Path, text: str) -> Path:
    """The same with a text, in UTF-8; half of a surrogate pair, which UTF-8 cannot hold, as an escape."""
    return replace_bytes(path, text.encode(errors="backslashreplace"))


def replace_lines(path: Path, lines: Iterable[str]) -> Path:
    """The same line by line; a line break is put after each."""
    return replace(path, (f"{line}\n".encode() for line in lines))


def _umask() -> int:
    """The process's mask; reading it sets it, so it is set back at once."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
