"""One server for all tests of the pages, and a real browser: Debian's Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from serve_app.api.api_keys import new_key
from tests.e2e.server import Server, app_args, checkout_importable, running, shipped_config

CHROMIUM = shutil.which("chromium")
CLIENT, CLIENT_ENTRY = new_key("alice", "client")
OPERATOR, OPERATOR_ENTRY = new_key("root", "operator")
WAIT_MS = 20_000
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) =>
  window.violations.push(`${e.effectiveDirective} ${e.blockedURI} ${e.sample}`));
"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One process for all tests."""
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        # No sandbox of its own: tests run as root in containers.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser: Browser) -> Iterator[Server]:
    """The shipped configuration with keys, the real `structure` and an obedient `ocr`."""
    config = shipped_config()
    config["applications"][0]["import_path"] = "tests.browser.app:build"
    args = app_args(config)
    args["auth"] = {"required": True}
    args["jobs"]["max_running"] = 2
    args["models"]["ocr"]["max_concurrent_predictions"] = 1
    entries = [entry.model_dump(mode="json") for entry in (CLIENT_ENTRY, OPERATOR_ENTRY)]
    environment = {**checkout_importable(), "OCR_SERVE_API_KEYS": json.dumps(entries)}
    with running(config, environment) as server:
        server.http.headers["authorization"] = f"Bearer {OPERATOR}"
        yield server


@dataclass
class Visit:
    """A page in a window of its own, and all that it said and asked for."""

    page: Page
    server: Server
    console: list[ConsoleMessage] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def go(self, view: str = "documents", key: str | None = OPERATOR) -> None:
        """Open a view; the page asks for a key, which is typed in."""
        self.page.goto(f"{self.server.url}/ui/#/{view}")
        self.page.locator("dialog").wait_for()
        if key is not None:
            self.give(key)

    def give(self, key: str) -> None:
        """Type the key in."""
        self.page.get_by_label("Key", exact=True).fill(key)
        self.page.get_by_role("button", name="Use it").click()

    def violations(self) -> list[str]:
        """Of the Content-Security-Policy, so far."""
        found: list[str] = self.page.evaluate("window.violations")
        return found + [m.text for m in self.console if "Content Security Policy" in m.text]

    def assert_quiet(self) -> None:
        """No error, no violation, no request to anybody else."""
        assert self.errors == []
        assert self.violations() == []
        own = (self.server.url, "blob:", "data:")
        assert [one.url for one in self.requests if not one.url.startswith(own)] == []


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Without a key yet."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    context.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    context.add_init_script(WATCH)
    page = context.new_page()
    visit = Visit(page, server)
    page.on("console", lambda message: visit.console.append(message))
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.on("request", lambda request: visit.requests.append(request))
    yield visit
    context.close()
