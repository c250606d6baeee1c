"""How long the fuzzers look: a little in `make test`, always the same; more by `make fuzz`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

#: Cases per test; set by `make fuzz`.
EXAMPLES = "OCR_SERVE_FUZZ_EXAMPLES"

_asked = os.environ.get(EXAMPLES)
#: Decorates every test here. Not a profile: that would reach the other tests of a session.
fuzzed = settings(
    max_examples=int(_asked or 50),
    derandomize=_asked is None,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
