"""For all tests: what says how fast something is, is a bench, never a test."""

from __future__ import annotations

from hypothesis import settings

# Examples have no deadline: on a busy machine one that takes a millisecond may take half a second.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
