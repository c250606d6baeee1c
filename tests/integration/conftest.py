"""What integration tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def our_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What our loggers say from DEBUG on, also after ``configure_logging`` has cut them off."""
    logger = logging.getLogger("ocr_serve")
    level, propagates = logger.level, logger.propagate
    logger.propagate = False
    logger.addHandler(caplog.handler)
    logger.setLevel("DEBUG")
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)
    logger.propagate = propagates
