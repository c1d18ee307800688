#!/bin/sh
# usage: compare_versions.sh FRAMEWORK REQUIREMENT: the framework as it is installed here, against another version of it.
# CONFIG: what to run besides (compare.yaml); its `frameworks` are left out of account.
set -eu
: "${2:?usage: compare_versions.sh FRAMEWORK REQUIREMENT, such as: pytorch torch==2.12.1}" "${CONFIG:=compare.yaml}"

[ -d envs/other ] || mlbench env create other --with "$2"
python - "$1" "$2" "$CONFIG" <<'PYTHON'
import sys
from mlbench_core import Suite
from mlbench_core.config import read

framework, other, config = sys.argv[1:]
entries = [
    {"name": framework, "label": "here"},
    {"name": framework, "python": "envs/other/bin/python", "label": other.replace("==", "-")},
]
results = Suite(**read(config) | {"frameworks": entries}).run(overwrite=True)
for record in results.failures():
    sys.exit(f"{record.trial.label} failed: {record.reason}")
for framework_version in sorted({(r.trial.variant, r.measured.framework_version) for r in results.records}):
    print(*framework_version)
for comparison in results.comparisons:
    if comparison.primary:
        print(comparison.describe())
PYTHON
