"""What mlbench loads: the reporter's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import ReporterDescriptor, hookimpl


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """One reporter."""
    # TODO 2: what it writes, in a few words; `mlbench plugins` shows them.
    return [ReporterDescriptor("dune", "mlbench_dune.report:write", "a line per cell and block")]
