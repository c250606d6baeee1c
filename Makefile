# `make help` lists the targets. Everything lives in .venv and the weights' cache; nothing is
# installed into the machine.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
VENV ?= .venv
CONFIG ?= configs/local.yaml
# The lock that `serve` installs: cpu, gpu, gpu-cuda12; auto: what CONFIG and the driver need.
EXTRA ?= auto
ARGS ?=
# What starts servers: two at a time, each shared by the tests of a file or a folder, in this order
# (Playwright's loop stays in the process that has run it, so browsers are last).
SERVERS := $(addprefix tests/,integration deploy bench e2e faults spec browser)
BY_FILE := --numprocesses 2 --dist loadfile --no-loadscope-reorder

BIN := $(VENV)/bin
SETUP := @$(PYTHON) scripts/setup_venv.py --venv $(VENV)
WEIGHTS := @$(BIN)/ocr-serve weights pull > /dev/null

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "Variables: PYTHON=python3.11  VENV=.venv  CONFIG=configs/local.yaml  EXTRA=gpu  ARGS='-k name'"

.PHONY: serve
serve: ## set up what is missing, check CONFIG, start the server and print its URL
	@name=$$($(PYTHON) scripts/gpu_driver.py --name $(EXTRA) $(CONFIG)) || exit 1; \
	venv=$(VENV); case $$name in gpu*) venv=$(VENV)-gpu ;; esac; \
	$(PYTHON) scripts/setup_venv.py --venv $$venv $$name \
		&& $$venv/bin/ocr-serve weights pull > /dev/null \
		&& exec $$venv/bin/ocr-serve run $(CONFIG)

.PHONY: setup
setup: ## only the environment for development, and the weights
	$(SETUP) dev
	$(WEIGHTS)

.PHONY: test
test: setup ## set-up and the test suite, but what takes minutes (`make long`)
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest -m 'not long' --numprocesses 2 tests/unit tests/fuzz
	@$(BIN)/python -m pytest -m 'not long' $(BY_FILE) $(SERVERS)
else
	@$(BIN)/python -m pytest -m 'not long' $(ARGS)
endif

.PHONY: unit
unit: ## unit tests only: no Ray, no Paddle, seconds
	$(SETUP) dev
	@$(BIN)/python -m pytest tests/unit -m "not long" $(ARGS)

.PHONY: spec
spec: setup ## the scenarios of the specification, on a local Ray with real models
	@$(BIN)/python -m pytest tests/spec $(ARGS)

.PHONY: long
long: setup ## the tests that take minutes: pools of prod.yaml, chaos, ten rounds
	@$(BIN)/python -m pytest -m long $(ARGS)

.PHONY: chaos
chaos: setup ## a minute of load in which processes are killed (OCR_SERVE_CHAOS_SEED=1)
	@$(BIN)/python -m pytest tests/faults/test_chaos.py -s $(ARGS)

.PHONY: gpu
gpu: setup ## the tests that need an NVIDIA GPU, with real pages; skipped without one
	@if name=$$($(PYTHON) scripts/gpu_driver.py --name $(EXTRA) configs/gpu.yaml); then \
		$(PYTHON) scripts/setup_venv.py --venv $(VENV)-gpu $$name; \
	fi
	@$(BIN)/python -m pytest tests/gpu -s $(ARGS)

.PHONY: bench-gpu
bench-gpu: setup ## pages a second on an NVIDIA GPU, after `make gpu` (ARGS='--clients 16')
	@$(BIN)/python -m tests.gpu.throughput $(ARGS)

.PHONY: fuzz
fuzz: setup ## mutated files, bodies and requests (OCR_SERVE_FUZZ_EXAMPLES=2000 per test)
	@OCR_SERVE_FUZZ_EXAMPLES=$${OCR_SERVE_FUZZ_EXAMPLES:-2000} \
		$(BIN)/python -m pytest tests/fuzz $(ARGS)

.PHONY: image-test
image-test: setup ## build the CPU image, run it within 3, 4 and 8 GiB (buildah, podman, runc, mmdebstrap; root)
	@$(BIN)/python -m tests.deploy.image_test $(ARGS)

.PHONY: cluster-test
cluster-test: setup ## a head and a worker in containers, of image-test's image (ARGS="--folder DIR"; root)
	@$(BIN)/python -m tests.deploy.cluster $(ARGS)

.PHONY: bench
bench: setup ## in process, paddlex --serve and this server, side by side
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: soak
soak: setup ## 500 pages of 40 sizes: memory of this server and of paddlex --serve over time
	@$(BIN)/python -m tests.bench.soak $(ARGS)

.PHONY: lint
lint: ## ruff: format and rules; import-linter: who may import whom; bandit: what is unsafe
	$(SETUP) dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive serve_app scripts

.PHONY: audit
audit: ## known vulnerabilities of the locked packages; needs PyPI's advisory service
	$(SETUP) dev
	@$(BIN)/python scripts/audit.py

.PHONY: typecheck
typecheck: ## mypy, strict
	$(SETUP) dev
	@$(BIN)/mypy

.PHONY: check
check: ## the configuration files, strictly
	$(SETUP) cpu
	@$(BIN)/ocr-serve check configs/*.yaml

.PHONY: manifests
manifests: ## write what k8s/ and docker/ repeat of configs/ and serve_app/command/ray.env
	$(SETUP) dev
	@$(BIN)/python scripts/render_manifests.py

.PHONY: lock
lock: ## write requirements/*.lock anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(SETUP) dev
	@UV=$(abspath $(BIN)/uv) scripts/lock.sh $(ARGS)

.PHONY: clean
clean: ## remove the environment, caches and build output; the weights' cache stays
	rm -rf $(VENV) $(VENV).lock $(VENV)-gpu $(VENV)-gpu.lock build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find serve_app tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
