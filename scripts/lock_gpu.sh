#!/usr/bin/env bash
# Writes requirements/gpu-paddle.lock: what the GPU image installs on top of the CPU image, exact versions
# with hashes: paddlepaddle-gpu and the CUDA libraries that it needs.
#
#   scripts/lock_gpu.sh URL [FILE]     URL: Paddle's own index for your CUDA version
#
# paddlepaddle-gpu is on that index only, one per CUDA version, so this lock is made where it can be
# reached, and belongs to your build: keep it with your image's sources. What the index brings at this
# moment is what is trusted; an image built later gets the same bytes, or fails.
set -euo pipefail
index=${1:?the index of paddlepaddle-gpu: see the installation page of Paddle}
cd "$(dirname "$0")/.."
output=${2:-requirements/gpu-paddle.lock}

uv=${UV:-$( [[ -x .venv/bin/uv ]] && echo .venv/bin/uv || echo uv )}
wanted=$(grep -oE 'paddlepaddle-gpu==[0-9.]+' pyproject.toml | head -n 1)

# The versions of the CPU image stay: it is what this is installed into.
"$uv" pip compile - --output-file "$output" --extra-index-url "$index" \
    --constraint requirements/cpu.lock --generate-hashes --only-binary :all: \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-python-downloads \
    --no-emit-index-url --no-emit-find-links \
    --custom-compile-command "scripts/lock_gpu.sh URL" --quiet <<< "$wanted" > /dev/null
