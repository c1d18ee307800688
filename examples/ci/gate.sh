#!/bin/sh
# usage: gate.sh COMMAND: a run before COMMAND, which installs the change, and one after it; status 1 if it must not go in.
# CONFIG: the configuration (ci.yaml). THRESHOLD: how much slower a cell may become (5%).
set -eu
: "${1:?usage: gate.sh COMMAND, which installs the change}" "${CONFIG:=ci.yaml}" "${THRESHOLD:=5%}"

mlbench run --config "$CONFIG" --output base --overwrite
sh -c "$1"
mlbench run --config "$CONFIG" --output new --overwrite
mlbench compare base new --fail-on slower,failed,missing --threshold "$THRESHOLD" \
    --export comparison.md --export comparison.xml
