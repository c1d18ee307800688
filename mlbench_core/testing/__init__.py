"""Kits to subclass in a framework plugin's tests: `conformance.FrameworkConformance` (the contract and the numbers),
`extension.Extension` (layers of a third party's own, errors that name what is wrong), and `mutations.Mutations` (the parity
ladder catches faults planted in the plugin)."""
