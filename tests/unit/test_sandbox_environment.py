"""Which variables a child gets."""

from __future__ import annotations

import pytest

from serve_app.sandbox.environment import child_environment

SECRETS = [
    "RAY_AUTH_TOKEN",
    "RAY_AUTH_TOKEN_PATH",
    "OCR_SERVE_API_KEYS",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AZURE_CLIENT_SECRET",
    "HF_TOKEN",
    "REDIS_PASSWORD",
    "DATABASE_URL",
    "PIP_INDEX_URL",
    "KUBERNETES_SERVICE_HOST",
    "RAY_REDIS_PASSWORD",
    "SSH_AUTH_SOCK",
    # A known beginning does not help a name that sounds like a secret.
    "PADDLE_PDX_AISTUDIO_TOKEN",
    "NVIDIA_API_KEY",
    "OPENVINO_SECRET",
]
NEEDED = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "PYTHONHASHSEED",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "FLAGS_allocator_strategy",
    "PADDLE_PDX_DISABLE_MODEL_SOURCE_CHECK",
    "MALLOC_ARENA_MAX",
    "OCR_SERVE_CACHE",
    "XDG_CACHE_HOME",
]


@pytest.mark.parametrize("hub", [False, True])
def test_no_secret_is_inherited(hub: bool) -> None:
    assert child_environment(dict.fromkeys(SECRETS, "secret"), hub=hub) == {}


@pytest.mark.parametrize("hub", [False, True])
def test_what_children_need_is_inherited(hub: bool) -> None:
    environ = {name: f"value of {name}" for name in NEEDED}
    assert child_environment(environ, hub=hub) == environ


def test_what_nobody_has_listed_stays_with_the_parent() -> None:
    assert child_environment({"SOMETHING_NEW": "1", "": "x", "path": "lower case"}) == {}


def test_proxies_and_certificates_are_for_those_who_fetch_from_a_hub() -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "SSL_CERT_FILE": "/ca.pem", "HF_HOME": "/hf"}
    assert child_environment(environ) == {}
    assert child_environment(environ, hub=True) == environ
