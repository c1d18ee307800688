"""The kit for data sets: subclass `DatasetConformance`, name your descriptor, and the tests say what is wrong with the data.

In your package's tests::

    from my_package.plugin import register_datasets
    from mlbench_core.testing.datasets import DatasetConformance

    class TestMine(DatasetConformance):
        descriptor = register_datasets()[0]
        data_dir = "tests/data"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mlbench_core.data import DataRequest, Dataset, can_adapt, open_prepared, prepare
from mlbench_core.data.check import check
from mlbench_core.data.dataset import ARRAYS
from mlbench_core.errors import ConfigError, MlbenchError
from mlbench_core.hookspecs import ModelDescriptor
from mlbench_core.plugins import attribute
from mlbench_core.testing.parent import DescriptorConformance
from mlbench_core.trial import ModelSource

ANY_MODEL = ModelSource("mlbench_core.models.mlp:mlp")
"""Data are adapted by what a model takes, and its source is not looked at."""
TAKES: tuple[Any, ...] = ("image", "vector", "tokens")


class DatasetConformance(DescriptorConformance):
    """argument: what stands behind the colon of a name such as "synthetic:8x8x1". data_dir: where the data lie (--data-dir)."""

    argument: ClassVar[str] = ""
    data_dir: ClassVar[str | None] = None

    @classmethod
    def functions(cls) -> list[str]:
        return [cls.descriptor.load, *([cls.descriptor.files] if cls.descriptor.files else [])]

    @classmethod
    def takes(cls) -> list[Any]:
        """What models may take to be given these data."""
        return [takes for takes in TAKES if can_adapt(cls.descriptor.kind, takes)]

    @classmethod
    def request(cls, cache: Path, **changes: Any) -> DataRequest:
        """What the loader is asked for."""
        asked = {
            "argument": cls.argument,
            "takes": cls.takes()[0],
            "seed": 0,
            "data_dir": cls.data_dir,
            "cache": cache,
        }
        return DataRequest(**asked | changes)

    @classmethod
    def load(cls, cache: Path, **changes: Any) -> Dataset:
        """What the loader returns, which must be a Dataset."""
        found = attribute(cls.descriptor.load)(cls.request(cache, **changes))
        assert isinstance(found, Dataset), (
            f"{cls.descriptor.load} returned a {type(found).__name__}, not a data.Dataset"
        )
        return found

    def test_data_can_be_trained_on(self, tmp_path: Path) -> None:
        data = self.load(tmp_path)
        try:
            check(data)
        except ConfigError as error:
            raise AssertionError(str(error)) from None

    def test_its_kind_is_what_the_descriptor_says(self, tmp_path: Path) -> None:
        for takes in self.takes():
            wanted = takes if self.descriptor.kind == "any" else self.descriptor.kind
            kind = self.load(tmp_path, takes=takes).kind
            assert kind == wanted, (
                f"for a model that takes {takes} the kind is {kind!r}, and the descriptor promises {wanted!r}"
            )

    def test_every_class_is_there_to_train_on(self, tmp_path: Path) -> None:
        data = self.load(tmp_path)
        missing = sorted(set(range(data.num_classes)) - {int(label) for label in np.unique(data.y_train)})
        assert not missing, f"y_train has no sample of class {missing[:5]}: lower num_classes, or mix before you split"

    def test_loading_again_gives_the_same(self, tmp_path: Path) -> None:
        one, two = self.load(tmp_path), self.load(tmp_path)
        for name in ARRAYS:
            same = np.array_equal(getattr(one, name), getattr(two, name))
            assert same, f"{name} differs when it is loaded again with the same seed: nobody could repeat a run"

    def test_an_argument_is_used_or_refused(self, tmp_path: Path) -> None:
        asked = self.load(tmp_path)
        try:
            other = self.load(tmp_path, argument="no-such-argument")
        except MlbenchError:
            return
        same = all(np.array_equal(getattr(asked, name), getattr(other, name)) for name in ARRAYS)
        assert not same, (
            "an argument is ignored: call request.refuse_argument(NAME), or the data would be called what they are not"
        )

    def test_its_files_are_there_once_it_is_loaded(self, tmp_path: Path) -> None:
        if self.descriptor.files is None:
            pytest.skip("the descriptor names no files: the loader is asked in every run")
        self.load(tmp_path)
        found = attribute(self.descriptor.files)(self.request(tmp_path))
        right = isinstance(found, (list, tuple)) and all(isinstance(each, (str, Path)) for each in found)
        assert right, f"{self.descriptor.files} returned {found!r}, not a list of paths"
        missing = [str(path) for path in found if not Path(path).exists()]
        assert not missing, f"{self.descriptor.files} names {', '.join(missing)}, which is not there after loading"

    def test_it_is_prepared_for_every_model_that_can_take_it(self, tmp_path: Path) -> None:
        for takes in self.takes():
            model = ModelDescriptor(
                name="any", source=ANY_MODEL, takes=takes, description="", min_image=8, max_length=64
            )
            folders = [
                prepare(
                    self.descriptor,
                    model,
                    argument=self.argument,
                    data_dir=self.data_dir,
                    seed=0,
                    cache=tmp_path,
                )
                for _ in range(2)
            ]
            assert folders[0] == folders[1], (
                f"for {takes} it is prepared anew each time: does what it is made of change?"
            )
            arrays = open_prepared(folders[0])
            wanted = np.int32 if takes == "tokens" else np.float32
            assert arrays.x_train.dtype == wanted, f"for {takes} the samples are {arrays.x_train.dtype}"
