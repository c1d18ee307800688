"""What mlbench loads: the reporter's descriptor, and nothing heavy."""

from mlbench_core.hookspecs import ReporterDescriptor, hookimpl


@hookimpl
def register_reporters() -> list[ReporterDescriptor]:
    """One reporter."""
    return [ReporterDescriptor("mlflow", "mlbench_mlflow.report:write", "a local folder of MLflow's, mlruns")]
