#!/bin/sh
# Serves this Bento; with SERVICE=LstmRunner and the like one of its runners alone, for a gateway elsewhere (RUNNER_URLS).
# Process 1 is BentoML itself, so that it gets SIGTERM.
set -eu
mkdir -p "${BENTOML_HOME:?}"
cd "$(dirname "$0")/../../.."
# An idle connection lives longer than those that the usual balancers keep: none closes while a request comes.
set -- --host 0.0.0.0 --port "${PORT:-3000}" --timeout-keep-alive 75 "$@"
if [ "${RUNNER_LAYOUT:-}" = combined ]; then
    SERVICE="${SERVICE:-DeepFinance}" # `serve .` knows only the runners that the Bento was built with
fi
if [ -n "${SERVICE:-}" ]; then
    for set in "$PWD"/models/deepfinance/*/; do
        export MODEL_SET_DIR="${MODEL_SET_DIR:-$set}"
    done
    cd src
    exec bentoml serve "service:$SERVICE" "$@"
fi
exec bentoml serve . "$@"
