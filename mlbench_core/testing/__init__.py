"""Kits to subclass in a plugin's tests: `conformance.FrameworkConformance` (the contract and the numbers),
`extension.Extension` (layers of a third party's own, errors that name what is wrong), `mutations.Mutations` (the parity
ladder catches faults planted in the plugin), and `models.ModelConformance`, `datasets.DatasetConformance`,
`reporters.ReporterConformance` and `executors.ExecutorConformance` for what a descriptor names."""
