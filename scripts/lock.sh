#!/usr/bin/env bash
# Writes requirements/*.lock from pyproject.toml: exact versions with hashes, and no index lines,
# so that every machine uses the package index that its pip is set up with.
#
#   scripts/lock.sh                      keeps what is locked, adds and removes
#   scripts/lock.sh --upgrade            newest versions of everything
#   scripts/lock.sh --upgrade-package P  newest version of P
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-$( [[ -x .venv/bin/uv ]] && echo .venv/bin/uv || echo uv )}

compile() { # output, then the inputs and options
    local output=$1
    shift
    "$uv" pip compile pyproject.toml requirements/build.in --output-file "$output" \
        --universal --python-version 3.10 --no-python-downloads --generate-hashes \
        --no-emit-index-url --no-emit-find-links \
        --custom-compile-command scripts/lock.sh --quiet "$@"
}

compile requirements/cpu.lock --extra cpu "$@"
# The same versions as in cpu.lock: an environment made from dev.lock can also serve.
compile requirements/dev.lock --extra cpu --extra dev --constraint requirements/cpu.lock "$@"
