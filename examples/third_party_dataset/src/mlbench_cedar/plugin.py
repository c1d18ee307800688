"""What mlbench loads: the data set's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import DatasetDescriptor, hookimpl


@hookimpl
def register_datasets() -> list[DatasetDescriptor]:
    """One data set."""
    return [
        DatasetDescriptor(
            name="cedar",
            load="mlbench_cedar.data:load",
            # TODO 2: what a sample is: "image", "vector" or "tokens".
            kind="vector",
            description="two clouds of points",
            # TODO 3: if `load` reads files, a function that returns their paths; None to have it asked in every run.
            files="mlbench_core.data:no_files",
        )
    ]
