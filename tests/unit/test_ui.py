"""The pages for people: whose files they are, and what a browser is told about them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re

import httpx
import pytest

from serve_app.testing.service import fake_settings
from serve_app.ui.files import FOLDER, files_below
from tests.http_client import http_client

LISTED = json.loads((FOLDER.parent / "vendored.json").read_text(encoding="utf-8"))
FIRST_VIEW_BYTES = 150_000


def test_every_vendored_file_is_listed_with_its_hash_and_has_a_licence() -> None:
    vendored = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (FOLDER / "vendor").iterdir()
    }
    assert vendored == LISTED["sha256"]
    for package, files in LISTED["packages"].items():
        assert any(name.endswith(".LICENSE.txt") for name in files.values()), package
        assert re.fullmatch(r"[a-z-]+@\d+\.\d+\.\d+", package), "one exact version"


def test_no_file_of_ours_loads_anything_from_elsewhere_or_has_code_in_a_page() -> None:
    ours = [path for path in FOLDER.rglob("*") if path.is_file() and path.parent.name != "vendor"]
    assert ours
    for path in ours:
        text = path.read_text(encoding="utf-8")
        links = [link for link in re.findall(r"https?://[^\s\"'<)]+", text) if "w3.org" not in link]
        assert not links, path
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", text), path


async def test_the_pages_come_with_a_policy_that_lets_nothing_else_in() -> None:
    async with http_client() as http:
        for path in ("/", "/ui", "/ui/", "/docs"):
            answer = await http.get(path)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'self'; ")
            assert "unsafe-eval" not in policy
            assert "script-src" not in policy, "so it is default-src"
            if path != "/docs":
                assert "unsafe-inline" not in policy


async def test_all_that_a_page_names_is_there() -> None:
    async with http_client() as http:
        for path in ("/", "/ui/", "/docs"):
            page = (await http.get(path)).text
            names = re.findall(r'(?:src|href)="([^"]+)"', page)
            assert names
            for name in names:
                answer = await http.get(httpx.URL("http://test/ui/").join(name).path)
                assert answer.status_code == 200, name


async def test_a_file_is_packed_and_not_sent_twice() -> None:
    async with http_client() as http:
        first = await http.get("/ui/app.js")
        assert first.headers["content-encoding"] == "gzip"
        assert first.headers["content-type"].startswith("text/javascript")
        again = await http.get("/ui/app.js", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        plain = await http.get("/ui/app.js", headers={"accept-encoding": "identity"})
        assert plain.text == first.text == (FOLDER / "app.js").read_text(encoding="utf-8")
        assert (await http.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize("name", ["../files.py", "..%2ffiles.py", "vendored.json", "nothing.js"])
async def test_no_other_file_is_served(name: str) -> None:
    async with http_client() as http:
        for folder in ("/ui", "/ui/vendor", "/docs"):
            assert (await http.get(f"{folder}/{name}")).status_code in (400, 404)


async def test_a_prefix_of_a_proxy_is_in_every_link() -> None:
    from serve_app.api.app import build_http_app
    from serve_app.testing.service import FakeDocumentService

    app = build_http_app(FakeDocumentService(), fake_settings())
    transport = httpx.ASGITransport(app, root_path="/ocr-serve")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert '<base href="/ocr-serve/ui/">' in (await http.get("/ocr-serve/ui/")).text
        assert '"/ocr-serve/openapi.json"' in (await http.get("/ocr-serve/docs")).text


async def test_they_can_be_turned_off_and_the_documentation_stays() -> None:
    async with http_client(settings=fake_settings(ui={"enabled": False})) as http:
        for path in ("/", "/ui", "/ui/app.js", "/ui/config.json", "/favicon.ico"):
            assert (await http.get(path)).status_code == 404
        assert (await http.get("/docs")).status_code == 200


async def test_the_page_is_told_what_it_has_to_know_and_no_more() -> None:
    async with http_client() as http:
        told = (await http.get("/ui/config.json")).json()
    assert set(told) == {
        *("version", "keys", "jobs", "urls", "max_request_bytes", "models", "default_model")
    }
    assert (told["keys"], told["jobs"], told["urls"]) == (False, False, False)


def test_everything_of_the_page_is_less_than_150_kilobytes() -> None:
    ours = files_below(FOLDER).values()
    used = ("preact-htm.js", "marked.js", "purify.js", "uplot.js", "uplot.css")
    vendored = [files_below(FOLDER / "vendor")[name] for name in used]
    assert sum(len(file.packed) for file in (*ours, *vendored)) < FIRST_VIEW_BYTES
    assert all(gzip.decompress(file.packed) == file.content for file in ours)
