#!/usr/bin/env bash
# Writes requirements/*.lock from pyproject.toml: exact versions with hashes, and no index lines,
# so that every machine uses the package index that its pip is set up with.
#
#   scripts/lock.sh                      keeps what is locked, adds and removes
#   scripts/lock.sh --upgrade            newest versions of everything
#   scripts/lock.sh --upgrade-package P  newest version of P
#
# Not gpu-paddle.lock: see scripts/lock_gpu.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=${UV:-$( [[ -x .venv/bin/uv ]] && echo .venv/bin/uv || echo uv )}

compile() { # output, oldest Python, then the inputs and options
    local output=$1 python=$2
    shift 2
    "$uv" pip compile pyproject.toml requirements/build.in --output-file "$output" \
        --universal --python-version "$python" --no-python-downloads --generate-hashes \
        --no-emit-index-url --no-emit-find-links \
        --custom-compile-command scripts/lock.sh --quiet "$@" > /dev/null
}

compile requirements/cpu.lock 3.10 --extra cpu "$@"
# The same versions as in cpu.lock: an environment made from dev.lock can also serve.
compile requirements/dev.lock 3.10 --extra cpu --extra dev --constraint requirements/cpu.lock "$@"
# And as the CPU image, into which the GPU image's are installed. onnxruntime-gpu wants Python 3.11.
for name in gpu gpu-cuda12; do
    compile "requirements/$name.lock" 3.11 --extra "$name" --constraint requirements/cpu.lock "$@"
done
