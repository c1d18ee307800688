"""Where data come from: bundled sets, made-up ones, files and CIFAR-10's archive, with the faults that files have."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve

from mlbench_core.data import bundled, cifar10, files, synthetic
from mlbench_core.data.check import check
from mlbench_core.data.dataset import DataRequest
from mlbench_core.errors import ConfigError


def request(argument: str = "", takes: Any = "image", data_dir: str | None = None, cache: Path = Path()) -> DataRequest:
    return DataRequest(argument=argument, takes=takes, seed=0, data_dir=data_dir, cache=cache)


def test_digits() -> None:
    data = bundled.digits(request())
    assert (data.x_train.shape, data.x_val.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert (data.x_train.min(), data.x_train.max(), data.num_classes) == (0, 16, 10)
    shares = np.bincount(data.y_val) / len(data.y_val) - np.bincount(data.y_train) / len(data.y_train)
    assert np.abs(shares).max() < 0.005  # stratified


def test_digits_as_a_sequence_are_the_same_pixels() -> None:
    assert np.array_equal(
        bundled.digits_sequence(request()).x_train, bundled.digits(request()).x_train.reshape(-1, 64).astype(np.int32)
    )


def test_breast_cancer_is_standardised_by_its_training_part() -> None:
    data = bundled.breast_cancer(request())
    assert (data.x_train.shape, data.x_val.shape, data.num_classes) == ((455, 30), (114, 30), 2)
    assert data.x_train.mean(axis=0) == pytest.approx(np.zeros(30), abs=1e-12)
    assert data.x_train.std(axis=0) == pytest.approx(np.ones(30))


@pytest.mark.parametrize(
    ("argument", "takes", "shape", "classes", "samples"),
    [
        ("", "image", (32, 32, 3), 10, 2048),
        ("", "vector", (32,), 10, 2048),
        ("", "tokens", (64,), 10, 2048),
        ("16x8x1/3@100", "image", (16, 8, 1), 3, 100),
        ("@40", "vector", (32,), 10, 40),
    ],
)
def test_synthetic_has_the_shape_asked_for(argument: str, takes: str, shape: Any, classes: int, samples: int) -> None:
    data = synthetic.synthetic(request(argument, takes))
    assert data.x_train.shape == (samples, *shape)
    assert len(data.y_val) == samples // 4
    assert data.num_classes == classes
    assert set(data.y_train) == set(range(classes))


@pytest.mark.parametrize(
    ("argument", "takes"),
    [("8x8x1/4@400", "image"), ("1x1x1", "image"), ("1", "vector"), ("5/3@400", "vector"), ("30/4@400", "tokens")],
)
def test_synthetic_can_be_learned(argument: str, takes: str) -> None:
    data = synthetic.synthetic(request(argument, takes))
    if takes == "tokens":
        features = [np.stack([np.bincount(row, minlength=64) for row in x]) for x in (data.x_train, data.x_val)]
    else:
        features = [x.reshape(len(x), -1) for x in (data.x_train, data.x_val)]
    centres = np.stack([features[0][data.y_train == label].mean(axis=0) for label in range(data.num_classes)])
    guess = np.argmin(((features[1][:, None] - centres) ** 2).sum(axis=2), axis=1)
    assert np.mean(guess == data.y_val) > 0.9


def test_synthetic_repeats() -> None:
    first, second = (synthetic.synthetic(request("4/2@8", "vector")) for _ in range(2))
    assert np.array_equal(first.x_train, second.x_train)


@pytest.mark.parametrize("argument", ["8x8", "x8", "8x8x0", "8x8x1/1", "nonsense", "8x8x1@2", "8x8x1/"])
def test_synthetic_nonsense_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=f"'synthetic:{argument}'"):
        synthetic.synthetic(request(argument, "image"))


GOOD = {
    "x_train": np.random.default_rng(0).random((6, 4)),
    "y_train": np.arange(6) % 3,
    "x_val": np.zeros((2, 4)),
    "y_val": np.array([0, 1]),
}


def written(folder: Path, **changes: Any) -> str:
    path = folder / "mine.npz"
    np.savez(path, **{key: value for key, value in (GOOD | changes).items() if value is not None})
    return str(path)


@pytest.mark.parametrize(
    ("x", "kind", "shape", "levels"),
    [
        (np.zeros((6, 4)), "vector", (4,), None),
        (np.zeros((6, 4), int), "tokens", (4,), None),
        (np.zeros((6, 4, 4)), "image", (4, 4, 1), None),
        (np.zeros((6, 4, 4, 3), np.uint8), "image", (4, 4, 3), 256),
    ],
)
def test_a_files_kind_follows_from_its_arrays(
    tmp_path: Path, x: Any, kind: str, shape: Any, levels: int | None
) -> None:
    data = files.npz(request(written(tmp_path, x_train=x, x_val=x[:2])))
    assert (data.kind, data.x_train.shape[1:], data.num_classes, data.levels) == (kind, shape, 3, levels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_val": None}, "it lacks y_val"),
        ({"y_train": np.arange(5)}, "x_train has 6 samples and y_train 5 labels"),
        ({"y_train": np.zeros(6)}, r"y_train is float64 of shape \(6,\), and labels are whole numbers"),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, r"y_train\[5\] is -1"),
        ({"x_val": np.full((2, 4), np.nan)}, r"x_val\[0, 0\] is nan, not finite"),
        ({"x_train": np.zeros((0, 4)), "y_train": np.zeros(0, int)}, r"x_train is empty, of shape \(0, 4\)"),
        ({"x_val": np.zeros((2, 5))}, r"a sample of x_train has shape \(4,\) and one of x_val \(5,\)"),
        ({"x_val": np.zeros((2, 4), int)}, "x_train holds float64 and x_val int64"),
        ({"x_train": np.zeros((6,)), "x_val": np.zeros((2,))}, r"has shape \(6,\)"),
        ({"x_train": np.float32(3)}, r"has shape \(\)"),
        ({"x_train": np.full((6, 4), 1e300)}, r"x_train\[0, 0\] is 1e\+300, not finite in float32"),
        ({"y_train": np.array([0, 1, 2, 0, 1, 2**32])}, r"y_train\[5\] is 4294967296"),
        (
            {"x_train": np.full((6, 4), -1), "x_val": np.zeros((2, 4), int)},
            r"x_train\[0, 0\] is -1, and tokens lie in 0",
        ),
        ({"x_train": np.zeros((6, 4), int), "x_val": np.full((2, 4), 2**40)}, r"x_val\[0, 0\] is 1099511627776"),
        ({"x_train": np.array([["a"]] * 6)}, "x_train holds <U1, not numbers: save it as float32"),
        ({"x_train": np.array([{}] * 6)}, r"x_train holds Python objects \(dtype object\): save it as float32"),
        ({"y_val": np.array([None] * 2)}, r"y_val holds Python objects \(dtype object\): save it as int64"),
    ],
)
def test_a_files_faults_are_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ConfigError, match=words) as error:
        check(evolve(files.npz(request(path)), name=path))
    assert "mine.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_integers_for_a_model_of_vectors_are_told_apart_from_features(tmp_path: Path) -> None:
    path = written(tmp_path, x_train=np.zeros((6, 4), int), x_val=np.zeros((2, 4), int))
    with pytest.raises(ConfigError, match="save features as float32"):
        files.npz(request(path, "vector"))


def test_images_are_bytes_only_if_both_parts_are(tmp_path: Path) -> None:
    train, val = np.zeros((6, 4, 4), np.uint8), np.full((2, 4, 4), 5000, np.uint16)
    assert files.npz(request(written(tmp_path, x_train=train, x_val=val))).levels is None


def _compressed_and_damaged() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        x_val=GOOD["x_val"],
        y_val=GOOD["y_val"],
        x_train=np.random.default_rng(0).random((6, 400)),
        y_train=GOOD["y_train"],
    )
    content = bytearray(buffer.getvalue())
    content[1000:1006] = b"\xff" * 6
    return bytes(content)


def _single_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [b"PK\x03\x04 broken", b"", _single_array(), _compressed_and_damaged()])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="not a readable .npz file"):
        files.npz(request(str(tmp_path / "no.npz")))


def cifar_records(count: int, seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    records = generator.integers(0, 256, (count, cifar10.RECORD)).astype(np.uint8)
    records[:, 0] = np.arange(count) % 10
    return records.tobytes()


def members(**changes: bytes | None) -> dict[str, bytes]:
    names = [*cifar10.TRAIN, *cifar10.TEST]
    whole = {f"{cifar10.FOLDER}/{name}": cifar_records(20, seed) for seed, name in enumerate(names)}
    return {key: value for key, value in (whole | changes).items() if value is not None}


def archive(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def published(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a small archive pass for the published one."""
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_cifar10_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(archive(tmp_path / cifar10.ARCHIVE, members()), monkeypatch)
    data = cifar10.cifar10(request(data_dir=str(tmp_path), cache=tmp_path / "cache"))
    assert (data.x_train.shape, data.x_val.shape) == ((100, 32, 32, 3), (20, 32, 32, 3))
    raw = np.frombuffer(cifar_records(20, 0), np.uint8).reshape(20, -1)
    assert data.y_train[3] == raw[3, 0]
    assert data.x_train[3, 5, 7, 2] == raw[3, 1 + 2 * 1024 + 5 * 32 + 7]  # blue plane, row 5, column 7
    # The extracted folder serves next time, by either of its names.
    for place in (tmp_path / "cache", tmp_path / "cache" / cifar10.FOLDER):
        assert np.array_equal(cifar10.cifar10(request(data_dir=str(place))).x_val, data.x_val)


FIRST = f"{cifar10.FOLDER}/data_batch_1.bin"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({FIRST: cifar_records(2, 0)[:-1]}, "6145 bytes are not a whole number of records"),
        ({FIRST: b""}, "0 bytes are not a whole number"),
        ({FIRST: bytes([11]) + bytes(cifar10.RECORD - 1)}, "the label 11 is not one of 0 to 9"),
        ({FIRST: None}, f"it lacks {FIRST}"),
        ({FIRST: bytes(cifar10.LARGEST + 1)}, f"{FIRST} is larger than"),
    ],
)
def test_cifar10s_faults_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], words: str
) -> None:
    published(archive(tmp_path / cifar10.ARCHIVE, members(**changes)), monkeypatch)
    with pytest.raises(ConfigError, match=words):
        cifar10.cifar10(request(data_dir=str(tmp_path), cache=tmp_path / "cache"))


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    path = archive(tmp_path / cifar10.ARCHIVE, members())
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ConfigError, match="damaged"):
        cifar10.extract(path, tmp_path / "cache")
    assert not (tmp_path / "cache" / cifar10.FOLDER).exists()


def test_an_archive_cannot_write_elsewhere(tmp_path: Path) -> None:
    evil = archive(
        tmp_path / cifar10.ARCHIVE, members() | {"../evil.bin": b"x", f"{cifar10.FOLDER}/../../evil2.bin": b"x"}
    )
    cifar10.extract(evil, tmp_path / "cache")
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        cifar10.ARCHIVE, *cifar10.TRAIN, *cifar10.TEST,
    }  # fmt: skip


def test_an_archive_that_is_not_the_published_one_never_reaches_the_cache(tmp_path: Path) -> None:
    archive(tmp_path / cifar10.ARCHIVE, members())
    with pytest.raises(ConfigError, match="the SHA-256 is"):
        cifar10.cifar10(request(data_dir=str(tmp_path), cache=tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_a_data_dir_is_not_passed_over_for_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    published(archive(cache / cifar10.ARCHIVE, members()), monkeypatch)
    assert len(cifar10.cifar10(request(cache=cache)).x_val) == 20
    with pytest.raises(ConfigError, match=r"data_dir: .* holds neither"):
        cifar10.cifar10(request(data_dir=str(tmp_path / "none"), cache=cache))


@pytest.mark.parametrize("load", [bundled.digits, bundled.digits_sequence, bundled.breast_cancer, cifar10.cifar10])
def test_an_argument_is_not_ignored(tmp_path: Path, load: Any) -> None:
    with pytest.raises(ConfigError, match="takes no argument, and got 'x'"):
        load(request("x", cache=tmp_path))


def test_a_data_dir_without_the_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data_dir: .* holds neither"):
        cifar10.cifar10(request(data_dir=str(tmp_path), cache=tmp_path))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    archive(folder / "a.tar.gz", members())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: Any) -> None: ...

        def do_GET(self) -> None:
            if self.path == "/nonsense":
                self.wfile.write(b"this is not HTTP\r\n\r\n")
            elif self.path == "/cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc")
            elif self.path == "/length":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc")
            else:
                super().do_GET()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_a_download_is_checked_and_whole(tmp_path: Path, server: str) -> None:
    content = (tmp_path / "served" / "a.tar.gz").read_bytes()
    seen: list[tuple[int, int]] = []
    target = tmp_path / "got.tar.gz"
    cifar10.download(
        f"{server}/a.tar.gz", target, hashlib.sha256(content).hexdigest(), lambda done, all_: seen.append((done, all_))
    )
    assert target.read_bytes() == content
    assert seen[-1] == (len(content), len(content))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.tar.gz", "the SHA-256 is"),
        ("length", "the SHA-256 is"),
        ("b.tar.gz", "cannot be downloaded .*404"),
        ("nonsense", "cannot be downloaded .*not HTTP"),
        ("cut", "cannot be downloaded .*IncompleteRead"),
    ],
)
def test_a_wrong_or_missing_download_leaves_nothing(tmp_path: Path, server: str, name: str, words: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(ConfigError, match=words) as error:
        cifar10.download(f"{server}/{name}", place / "got", "0" * 64)
    assert "--data-dir" in str(error.value)
    assert list(place.iterdir()) == []
