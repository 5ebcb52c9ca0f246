#!/bin/sh
# Serves this Bento; with SERVICE=LstmRunner and the like one of its runners alone, for a gateway elsewhere (RUNNER_URLS).
# Process 1 is BentoML itself, so that it gets SIGTERM.
set -eu
mkdir -p "${BENTOML_HOME:?}"
cd "$(dirname "$0")/../../.."
if [ -n "${SERVICE:-}" ]; then
    for set in "$PWD"/models/deepfinance/*/; do
        export MODEL_SET_DIR="${MODEL_SET_DIR:-$set}"
    done
    cd src
    exec bentoml serve "service:$SERVICE" --host 0.0.0.0 --port "${PORT:-3000}" "$@"
fi
exec bentoml serve . --host 0.0.0.0 --port "${PORT:-3000}" "$@"
