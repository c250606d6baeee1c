"""The application with the real layout model and, for `ocr`, an engine that does what pages say."""

# No `from __future__ import annotations` here: Serve reads build's annotation at run time.
from typing import Any

from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from serve_app.app import application
from serve_app.config_check import check_args
from serve_app.settings import AppSettings
from serve_app.worker.ocr_service import OCRService

FACTORY = "tests.browser.engine:build"


class HalfRealReplica(OCRService):
    """A worker whose engines are made by ``engine.py``."""

    def __init__(self, pool: str, settings: AppSettings, registry: DeploymentHandle) -> None:
        super().__init__(pool, settings, FACTORY, registry=registry, rendered=True)

    async def __del__(self) -> None:
        """Called by Serve, once, when the replica stops."""
        await self.close()


def build(args: dict[str, Any]) -> Application:
    """As ``serve_app.app.build``."""
    return application(check_args(args), HalfRealReplica)
