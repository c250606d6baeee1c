"""The environment of a child: what is on this list, and nothing else of the parent's.

A gateway's and a worker's environment holds Ray's token, the list of API keys and whatever secrets
a cluster hands to its pods. A child needs none of them, and anything that runs in it can read all
that it was started with (/proc/self/environ), whatever is deleted later. So the list says what is
let through, by name or by the beginning of a name:

- where programs and libraries are, the language, the time zone, the folder for temporary files;
- Python's own variables;
- what steers the libraries that compute: threads, devices, allocators;
- where weights are cached;
- for weights that a hub serves (``source: hub``): proxies, certificates, the hubs' caches.

A name that sounds like a secret is left out even then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAMES = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR"),
        *("LANG", "LANGUAGE", "TZ"),
        # XDG_CACHE_HOME and OCR_SERVE_CACHE: where bundled weights are (weights/store.py).
        *("XDG_CACHE_HOME", "OCR_SERVE_CACHE"),
        "GLIBC_TUNABLES",
    }
)
PREFIXES = (
    "LC_",
    "LD_",  # LD_LIBRARY_PATH, and LD_PRELOAD for another allocator
    "PYTHON",
    *("CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_", "TF32_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "TBB_"),
    *("OPENVINO_", "OV_", "ORT_", "ONNXRUNTIME_"),
    *("FLAGS_", "PADDLE_", "GLOG_", "MPLCONFIG"),
    "MALLOC_",
)
HUB_NAMES = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HF_HOME", "HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET"),
        *("MODELSCOPE_CACHE", "MODELSCOPE_DOMAIN"),
    }
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|(^|_)(API_?)?KEYS?(_|$)", re.IGNORECASE)


def child_environment(environ: Mapping[str, str], *, hub: bool = False) -> dict[str, str]:
    """What a child inherits of ``environ``; ``hub``: it fetches weights from a model hub."""
    return {name: value for name, value in environ.items() if _passes(name, hub)}


def _passes(name: str, hub: bool) -> bool:
    if name in NAMES or (hub and name in HUB_NAMES):
        return True
    return name.startswith(PREFIXES) and not _SECRET.search(name)
