# The server for CPUs, and what the head node of a cluster runs. From the repository's root:
#   docker build -f docker/cpu.Dockerfile -t ocr-serve-cpu:0.1.0 .
#   docker run --rm -p 127.0.0.1:8000:8000 --shm-size 1g ocr-serve-cpu:0.1.0
# That is for this machine only: the configuration in it asks for no key. For others: configs/prod.yaml
# with keys (auth), behind what ends TLS.
# Jobs outlive the container with -v ocr-serve:/var/lib/ocr-serve.
# What is installed, and how, is scripts/setup_venv.py's business: the same as for `make serve`.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /opt/ocr-serve
COPY scripts/check_system.py scripts/
# The libraries that the wheels need (named by the script), and wget for KubeRay's probes.
# hadolint ignore=DL3008
RUN apt-get update \
    && python scripts/check_system.py --apt | xargs apt-get install -y --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*

FROM base AS build
# What the environment is made from comes first: it is made anew only when that changes.
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY requirements/ requirements/
COPY scripts/ scripts/
COPY serve_app/ serve_app/
RUN python scripts/setup_venv.py cpu
# baked: the bundled weights are in the image. mounted: they come with a volume at /cache.
ARG WEIGHTS=baked
RUN mkdir -p /opt/weights \
    && if [ "${WEIGHTS}" = baked ]; then \
        .venv/bin/ocr-serve weights pull --quiet --cache-dir /opt/weights; \
    fi

FROM base
# A home that can be written to: Ray keeps its token there.
RUN useradd --uid 1000 --create-home ocr \
    && install -d -o 1000 -g 1000 -m 0700 /var/lib/ocr-serve \
    && echo "export PATH=/opt/ocr-serve/.venv/bin:\$PATH" > /etc/profile.d/ocr-serve.sh
COPY --from=build /opt/ocr-serve /opt/ocr-serve
COPY --from=build /opt/weights /opt/weights
COPY configs/ configs/
COPY docker/entrypoint.sh docker/local.yaml docker/
ENV PATH=/opt/ocr-serve/.venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    OCR_SERVE_CACHE=/opt/weights \
    OCR_SERVE_STATE=/var/lib/ocr-serve
USER 1000
EXPOSE 8000
# Serve drains on it; SIGTERM would do as well with `ocr-serve run`, but not with `serve run`.
STOPSIGNAL SIGINT
HEALTHCHECK --start-period=120s --interval=15s --timeout=5s \
    CMD ["wget", "-q", "-T", "4", "-O", "/dev/null", "http://127.0.0.1:8000/livez"]
ENTRYPOINT ["docker/entrypoint.sh"]
CMD ["ocr-serve", "run", "--log", "-", "docker/local.yaml"]
