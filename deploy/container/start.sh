#!/bin/sh
# The service of this Bento, or with RUNNER_NAME one of its model runners alone. Process 1 is BentoML itself, so that it gets SIGTERM.
set -eu
mkdir -p "${BENTOML_HOME:?}"
cd "$(dirname "$0")/../../.."
if [ -n "${SERVICE:-}" ]; then
    cd src
    exec bentoml serve "service:${SERVICE}" --host 0.0.0.0 --port "${PORT:-3000}" "$@"
fi
exec bentoml serve . --host 0.0.0.0 --port "${PORT:-3000}" "$@"
