#!/bin/sh
# Writes deploy/.env from deploy/.env.example, with a random value after every name that has none. Never overwrites one.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
    echo "deploy/.env exists; it is left as it is" >&2
    exit 1
fi
umask 077
while IFS= read -r line; do
    case $line in
    [A-Z]*=) printf '%s%s\n' "$line" "$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <.env.example >.env
