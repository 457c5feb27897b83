#!/bin/sh
# `make demo`: a leaf-spine cluster of 4 nodes, an application, the first experiment, a report.
set -eu
cd "$(dirname "$0")/.."
kubinet=bin/kubinet
name=demo-$$
trap '$kubinet down --name "$name" >/dev/null 2>&1 || true' EXIT
say() { printf '\n\033[1m$ %s\033[0m\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }
run() { say "$@"; "$@"; }

run $kubinet up leaf-spine --nodes 4 --name "$name"
run $kubinet apply --cluster "$name" -f examples/echo.yaml
run $kubinet wait --cluster "$name" -n echo --for=condition=Ready pod --all --timeout=60s
run $kubinet get --cluster "$name" -n echo pods -o wide
run $kubinet down --name "$name"
trap - EXIT
run $kubinet run pod_latency --quick --output-dir results
