# The server for GPU nodes: the CPU image with ONNX Runtime's CUDA build in place of OpenVINO's. From the
# repository's root:
#   docker build -f docker/gpu.Dockerfile -t ocr-serve-gpu:0.1.0 \
#       --build-arg CPU_IMAGE=ocr-serve-cpu:0.1.0 .
#   docker run --rm --gpus all -p 127.0.0.1:8000:8000 --shm-size 1g ocr-serve-gpu:0.1.0
# That is for this machine only: the configuration in it asks for no key. For others: configs/prod.yaml.
# All of it is on the public index, CUDA's libraries too; the node brings the driver (NVIDIA's container
# toolkit), 580 or newer. For drivers from 525 on: --build-arg LOCK=gpu-cuda12.
# With Paddle's own GPU build (models in Paddle's format, engine.provider: paddle):
#   scripts/lock_gpu.sh URL
#   docker build … --build-arg LOCK=gpu-paddle --build-arg PADDLE_INDEX_URL=URL .
# URL is Paddle's own index for your CUDA version (see Paddle's installation page): paddlepaddle-gpu is
# not on the public one, so its lock is made by whoever builds, once; see the script.
ARG CPU_IMAGE=ocr-serve-cpu:0.1.0

# The tag is in the argument.
# hadolint ignore=DL3006
FROM ${CPU_IMAGE}
ARG LOCK=gpu
ARG PADDLE_INDEX_URL=
USER 0
COPY requirements/ /opt/ocr-serve/requirements/
COPY docker/gpu.yaml /opt/ocr-serve/docker/
RUN if [ ! -s "requirements/${LOCK}.lock" ]; then \
        echo "no requirements/${LOCK}.lock: see scripts/lock.sh and scripts/lock_gpu.sh" >&2; exit 1; \
    fi
# First out, then in: the packages share a module, and an uninstall takes the other one's files along.
RUN case "${LOCK}" in gpu-paddle) replaced=paddlepaddle ;; *) replaced=onnxruntime-openvino ;; esac \
    && .venv/bin/python -m pip uninstall --yes "${replaced}" \
    && .venv/bin/python -m pip install --no-cache-dir --only-binary :all: \
        --require-hashes --no-deps \
        ${PADDLE_INDEX_URL:+--extra-index-url "${PADDLE_INDEX_URL}"} \
        --requirement "requirements/${LOCK}.lock"
USER 1000
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["ocr-serve", "run", "--log", "-", "docker/gpu.yaml"]
