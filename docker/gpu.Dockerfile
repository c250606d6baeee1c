# The server for GPU nodes: the CPU image with Paddle's GPU build. From the repository's root:
#   scripts/lock_gpu.sh URL
#   docker build -f docker/gpu.Dockerfile -t ocr-serve-gpu:0.1.0 \
#       --build-arg CPU_IMAGE=ocr-serve-cpu:0.1.0 --build-arg PADDLE_INDEX_URL=URL .
# URL is Paddle's own index for your CUDA version (see Paddle's installation page): paddlepaddle-gpu is
# not on the public one, so its lock is made by whoever builds, once; see the script. Its wheels bring
# the CUDA libraries; the node brings the driver (NVIDIA's container toolkit).
# Weights: /models, and their hashes in /etc/ocr-serve/weights.sha256, both mounted (docs/configuration.md):
#   docker run --rm --gpus all -p 127.0.0.1:8000:8000 --shm-size 1g -v "$PWD/models:/models:ro" \
#       -v "$PWD/weights.sha256:/etc/ocr-serve/weights.sha256:ro" ocr-serve-gpu:0.1.0
ARG CPU_IMAGE=ocr-serve-cpu:0.1.0

# The tag is in the argument.
# hadolint ignore=DL3006
FROM ${CPU_IMAGE}
ARG PADDLE_INDEX_URL
USER 0
COPY requirements/ /opt/ocr-serve/requirements/
RUN if [ ! -s requirements/gpu.lock ]; then \
        echo "no requirements/gpu.lock: make it with scripts/lock_gpu.sh" >&2; exit 1; \
    fi
RUN .venv/bin/python -m pip uninstall --yes paddlepaddle \
    && .venv/bin/python -m pip install --no-cache-dir --only-binary :all: \
        --require-hashes --no-deps \
        --extra-index-url "${PADDLE_INDEX_URL:?the index of paddlepaddle-gpu}" \
        --requirement requirements/gpu.lock
USER 1000
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["ocr-serve", "run", "--log", "-", "configs/gpu-8gb.yaml"]
