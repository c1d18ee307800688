"""CIFAR-10 (Krizhevsky 2009) from its *binary* archive: nothing is unpickled, ever."""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mlbench_core.data.dataset import Array, DataRequest, Dataset
from mlbench_core.errors import ConfigError
from mlbench_core.files import replace

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
RECORD = 1 + 3 * 32 * 32
"""Bytes of one record: the label, then the red, green and blue planes, row by row."""
LARGEST = 10_000 * RECORD
"""Bytes of a data file: an archive with a larger one is not CIFAR-10's."""
CHUNK = 1 << 20
HELP = f"download {URL} elsewhere and name its folder with --data-dir"


def cifar10(request: DataRequest) -> Dataset:
    """50,000 training and 10,000 validation images of 32 x 32 x 3 bytes, 10 classes.

    Looks in `request.data_dir` for the extracted folder or the archive; without a data_dir in the cache, else downloads the
    archive once. Raises ConfigError if the data cannot be had or is not what it should be.
    """
    request.refuse_argument("cifar10")
    folder = _folder(request)
    x_train, y_train = _read(folder, TRAIN)
    x_val, y_val = _read(folder, TEST)
    return Dataset(
        name="cifar10",
        kind="image",
        x_train=x_train,
        y_train=y_train,
        x_val=x_val,
        y_val=y_val,
        num_classes=10,
        levels=256,
    )


def data_files(request: DataRequest) -> list[Path]:
    """The files in `request.data_dir` that the data come from; none without one, since the archive's sum is fixed."""
    if request.data_dir is None:
        return []
    place = Path(request.data_dir)
    folder = _extracted(place)
    return [folder / name for name in (*TRAIN, *TEST)] if folder else [place / ARCHIVE]


def _folder(request: DataRequest) -> Path:
    """A data_dir is never passed over for the cache: what the user named is used, or refused."""
    place = _made(request.cache) if request.data_dir is None else Path(request.data_dir)
    folder = _extracted(place)
    if folder:
        return folder
    archive = place / ARCHIVE
    if not archive.is_file():
        if request.data_dir is not None:
            raise ConfigError(f"data_dir: {place} holds neither {FOLDER}/{TRAIN[0]} nor {ARCHIVE}")
        download(URL, archive, SHA256, request.progress)
    # Only the published archive may fill the cache: later runs without a data_dir read what lies there.
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ConfigError(f"{archive}: the SHA-256 is {found}, not {SHA256}: delete it, then {HELP}")
    return extract(archive, request.cache)


def _extracted(place: Path) -> Path | None:
    return next((folder for folder in (place, place / FOLDER) if (folder / TRAIN[0]).is_file()), None)


def download(url: str, target: Path, sha256: str, progress: Callable[[int, int], None] | None = None) -> None:
    """Fetches `url` into `target`, which appears only once it is whole and its SHA-256 is right.

    Raises ConfigError if it cannot be fetched or the sum differs.
    """

    def received() -> Iterator[bytes]:
        digest, done = hashlib.sha256(), 0
        with urllib.request.urlopen(url, timeout=60) as source:
            total = source.length or 0
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                yield chunk
                done += len(chunk)
                if progress:
                    progress(done, total)
        if digest.hexdigest() != sha256:
            raise ConfigError(f"{url}: the SHA-256 is {digest.hexdigest()}, not {sha256}: try again, or {HELP}")

    try:
        replace(target, received())
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = str(error).strip() or type(error).__name__
        raise ConfigError(f"dataset: cifar10 cannot be downloaded ({reason}): {HELP}") from None


def extract(archive: Path, target: Path) -> Path:
    """Extracts the six data files, and nothing else, into target/cifar-10-batches-bin; returns that folder.

    Members are picked by their exact names, so a path that leads elsewhere is never followed. Raises ConfigError for an
    archive that is damaged, lacks a file, or holds one that is larger than CIFAR-10's.
    """
    folder = target / FOLDER
    wanted = {f"{FOLDER}/{name}" for name in (*TRAIN, *TEST)}
    with tempfile.TemporaryDirectory(dir=_made(target)) as scratch:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                found = [member for member in tar if member.name in wanted and member.isfile()]
                large = [member.name for member in found if member.size > LARGEST]
                if large:
                    raise ConfigError(f"{archive}: {large[0]} is larger than the {LARGEST} bytes it should have")
                tar.extractall(scratch, found, filter="data")
        except (OSError, EOFError, tarfile.TarError) as error:
            raise ConfigError(f"{archive}: damaged ({error}); delete it and try again") from None
        missing = wanted - {member.name for member in found}
        if missing:
            raise ConfigError(f"{archive}: it lacks {', '.join(sorted(missing))}")
        if not folder.exists():
            os.replace(Path(scratch) / FOLDER, folder)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _read(folder: Path, names: tuple[str, ...]) -> tuple[Array, Array]:
    images, labels = [], []
    for name in names:
        path = folder / name
        try:
            raw = np.fromfile(path, np.uint8)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        if raw.size == 0 or raw.size % RECORD:
            raise ConfigError(
                f"{path}: {raw.size} bytes are not a whole number of records of {RECORD} bytes: it is cut short"
            )
        records = raw.reshape(-1, RECORD)
        if records[:, 0].max() > 9:
            raise ConfigError(f"{path}: the label {records[:, 0].max()} is not one of 0 to 9")
        labels.append(records[:, 0])
        images.append(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return np.concatenate(images), np.concatenate(labels)
