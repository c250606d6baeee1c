# The server for GPU nodes: the CPU image with Paddle's GPU build. From the repository's root:
#   docker build -f docker/gpu.Dockerfile -t ocr-serve-gpu:0.1.0 \
#       --build-arg CPU_IMAGE=ocr-serve-cpu:0.1.0 --build-arg PADDLE_INDEX_URL=... .
# PADDLE_INDEX_URL is Paddle's own index for your CUDA version (see Paddle's installation page):
# paddlepaddle-gpu is not on the public one, so its hash is not in our lock. Its wheels bring the CUDA
# libraries; the node brings the driver (NVIDIA's container toolkit).
ARG CPU_IMAGE=ocr-serve-cpu:0.1.0

# The tag is in the argument.
# hadolint ignore=DL3006
FROM ${CPU_IMAGE}
ARG PADDLE_INDEX_URL
USER 0
RUN .venv/bin/python -m pip uninstall --yes paddlepaddle \
    && .venv/bin/python -m pip install --no-cache-dir --only-binary :all: \
        --extra-index-url "${PADDLE_INDEX_URL:?the index of paddlepaddle-gpu}" \
        paddlepaddle-gpu==3.3.1
USER 1000
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["ocr-serve", "run", "configs/gpu-8gb.yaml"]
