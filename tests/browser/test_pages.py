"""The pages for people, as people use them: a real browser, a real server."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pypdfium2 as pdfium
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from tests import documents
from tests.browser.conftest import CLIENT, OPERATOR, Visit
from tests.browser.hostile import LINES
from tests.browser.report import PARAGRAPH, TITLE, report_pdf
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Set it, and the screenshots in docs/ are taken anew.
PICTURES = "OCR_SERVE_PICTURES"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DOCS = Path(__file__).resolve().parents[2] / "docs"
DROP = """
([name, type, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name, {type}));
  const event = new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true});
  document.querySelector(".drop").dispatchEvent(event);
}
"""

WIDER = """
document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll, .pane"))
  .map((e) => e.outerHTML.slice(0, 120))
"""


def drop(page: Page, name: str, data: bytes, kind: str = "application/pdf") -> None:
    """As somebody drops a file."""
    page.locator(".drop").wait_for()
    page.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])


def choose_model(page: Page, model: str) -> None:
    page.get_by_text("Options", exact=True).click()
    page.locator("[name=model]").select_option(model)
    page.get_by_text("Options", exact=True).click()


def open_newest(page: Page) -> None:
    """When it is done."""
    newest = page.locator(".item").first
    expect(newest).to_have_attribute("data-state", "done", timeout=60_000)  # a cold load
    newest.get_by_role("button", name="Open", exact=True).click()
    page.locator("#viewer .panes").wait_for()


def test_nothing_is_shown_without_a_key_and_orders_are_for_operators(visit: Visit) -> None:
    page = visit.page
    visit.go("memory", key=None)
    page.locator("dialog").wait_for()
    assert not [one for one in visit.requests if "/v1/" in one.url]
    visit.give("ocrs_wrong")
    expect(page.locator("p:visible", has_text="This API key is not known here.")).to_be_visible()
    page.get_by_role("button", name="Change the API key").click()
    visit.give(CLIENT)
    expect(page.get_by_text("This needs an operator's key.")).to_be_visible()
    expect(page.get_by_role("cell", name="structure", exact=True)).to_be_visible()
    assert page.get_by_role("button", name=re.compile("^(Load|Unload|Pin)")).count() == 0
    page.get_by_role("button", name="Change the API key").click()
    visit.give(OPERATOR)
    expect(page.get_by_role("button", name="Pin structure")).to_be_visible()
    assert page.evaluate("[...Object.keys(localStorage)]") == ["ocr-serve.theme"]
    assert OPERATOR not in page.evaluate("document.cookie + location.href")


@pytest.mark.parametrize("button", ["Copy as curl", "Copy as Python"])
def test_what_is_copied_asks_for_the_same(visit: Visit, tmp_path: Path, button: str) -> None:
    page, name, data = visit.page, "it's a report.pdf", documents.text_pdf(["hello"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.go()
    choose_model(page, "ocr")
    drop(page, name, data)
    open_newest(page)
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text(re.compile("(command|code) is copied"))).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    wanted = download.value.path().read_text()

    (tmp_path / name).write_bytes(data)
    command = ["bash", "-c", copied] if "curl" in button else [sys.executable, "-c", copied]
    environment = {**os.environ, "OCR_SERVE_KEY": OPERATOR}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60)
    (written,) = (file for file in tmp_path.iterdir() if file.name != name)
    assert written.suffix == ".md"
    assert written.read_text().strip() == wanted.strip() != ""


def test_a_dropped_pdf_shows_its_text_and_its_boxes_where_they_are(visit: Visit) -> None:
    page, data = visit.page, report_pdf()
    visit.go()
    drop(page, "harvest.pdf", data)
    open_newest(page)
    page.locator(".sheet img").wait_for()
    paragraph = page.locator(".piece", has_text=PARAGRAPH[:40])
    expect(paragraph).to_contain_text(PARAGRAPH[-60:])
    expect(page.locator(".piece h1, .piece h2", has_text=TITLE)).to_be_visible()
    expect(page.locator(".piece table td", has_text="Old Mill")).to_be_visible()

    paragraph.hover()
    box = page.locator(".sheet .box.hot")
    expect(box).to_have_count(1)
    found, sheet = box.bounding_box(), page.locator(".sheet img").bounding_box()
    assert found is not None
    assert sheet is not None
    left, top, right, bottom = paragraph_place(data)
    scale = sheet["width"] / documents.A4_PT[0]
    assert found["x"] - sheet["x"] == pytest.approx(left * scale, abs=6)
    assert found["y"] - sheet["y"] == pytest.approx(top * scale, abs=8)
    assert found["width"] == pytest.approx((right - left) * scale, abs=14)
    assert found["height"] == pytest.approx((bottom - top) * scale, abs=16)
    page.evaluate("document.getElementById('viewer').scrollIntoView()")
    picture(page, "ui-documents")

    # And the other way, without a mouse.
    page.locator(".sheet .box.title").first.focus()
    expect(page.locator(".piece.hot")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".pager select")).to_have_value("2")
    expect(page.locator(".piece", has_text="Prices and plans")).to_be_visible()
    page.keyboard.press("+")
    expect(page.locator(".zoom")).to_contain_text("125 %")
    page.get_by_role("tab", name="Lines").click()
    expect(page.locator(".line-row .badge.layer").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "harvest.md"
    assert TITLE in Path(download.value.path()).read_text(encoding="utf-8")
    visit.assert_quiet()


def paragraph_place(data: bytes) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the paragraph by PDFium; points from the top left."""
    sheet = pdfium.PdfDocument(data)[0]
    text = sheet.get_textpage()
    found = text.search(PARAGRAPH[:20]).get_next()
    assert found is not None
    start, length = found[0], text.get_text_range().index("1. Yield") - found[0]
    boxes = [text.get_charbox(n) for n in range(start, start + length)]
    boxes = [box for box in boxes if box[2] > box[0]]
    high = sheet.get_height()
    return (
        min(box[0] for box in boxes),
        high - max(box[3] for box in boxes),
        max(box[2] for box in boxes),
        high - min(box[1] for box in boxes),
    )


def picture(page: Page, name: str) -> None:
    """A screenshot for README.md, in both themes, where it was asked for."""
    if not os.environ.get(PICTURES):
        return
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(300)
        taken = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
        # A third of the size, and nobody sees it.
        taken.convert("RGB").quantize(128).save(DOCS / f"{name}-{theme}.png", optimize=True)
    page.emulate_media(color_scheme="light")


def test_progress_moves_and_cancel_stops(visit: Visit) -> None:
    page = visit.page
    visit.go()
    choose_model(page, "ocr")
    drop(page, "slow.pdf", documents.text_pdf(["wait 0.5"] * 30))
    item = page.locator(".item").first
    expect(item.locator(".cells .good")).not_to_have_count(0)
    first = item.locator(".cells .good").count()
    eventually(lambda: item.locator(".cells .good").count() > first, 15, "pages come in")
    expect(item.locator(".progress-text")).to_contain_text("left")
    drop(page, "next.pdf", documents.text_pdf(["wait 0.5"] * 9))
    drop(page, "last.pdf", documents.text_pdf(["wait 0.5"] * 9))
    expect(page.locator(".item", has_text="last.pdf")).to_contain_text("in the queue")
    for name in ("last.pdf", "next.pdf", "slow.pdf"):
        page.get_by_role("button", name=f"Cancel {name}").click()
        expect(page.locator(".item", has_text=name)).to_have_attribute("data-state", "cancelled")
    jobs = visit.server.http.get("/v1/jobs").json()["jobs"]
    assert [job["state"] for job in jobs[:3]] == ["cancelled"] * 3
    assert jobs[2]["pages"]["done"] < 30
    item = page.locator(".item", has_text="slow.pdf")
    item.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".line-row").first).to_contain_text("wait 0.5")
    visit.assert_quiet()


def test_a_file_that_is_none_is_answered_with_a_sentence(visit: Visit) -> None:
    visit.go()
    drop(visit.page, "broken.pdf", b"no PDF at all")
    item = visit.page.locator(".item").first
    expect(item).to_have_attribute("data-state", "failed")
    expect(item.get_by_role("alert")).to_have_text(re.compile(r"^[A-Z].* .*\.$"))


def test_a_pasted_picture_is_read(visit: Visit) -> None:
    page = visit.page
    visit.go()
    choose_model(page, "ocr")
    paste(page, documents.picture("png"))
    expect(page.locator(".item").first).to_contain_text("pasted.png")
    open_newest(page)
    page.locator(".sheet img").wait_for()
    visit.assert_quiet()


def paste(page: Page, data: bytes) -> None:
    """A picture from the clipboard."""
    page.evaluate(
        """(data) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
          document.dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
        }""",
        base64.b64encode(data).decode(),
    )


def test_an_address_is_asked_for_where_that_is_allowed_and_a_refusal_is_told(visit: Visit) -> None:
    page = visit.page
    told(visit, urls=True)  # the server's own setting is off, so that it refuses
    visit.go()
    page.get_by_label("Address of a document").fill("https://example.com/a.pdf")
    page.get_by_role("button", name="Fetch and read").click()
    item = page.locator(".item").first
    expect(item).to_have_attribute("data-state", "failed")
    expect(item.get_by_role("alert")).to_have_text(re.compile(r"^[A-Z].*\.$"))


@pytest.mark.parametrize("jobs", [True, False], ids=["jobs", "no jobs"])
def test_a_hostile_document_runs_nothing(visit: Visit, jobs: bool) -> None:
    page = visit.page
    if not jobs:
        told(visit, jobs=False)
    visit.go()
    choose_model(page, "ocr")
    name = "<img src=x onerror='window.ran=1'>.pdf"
    drop(page, name, documents.text_pdf(["hostile", "hostile blocks"]))
    open_newest(page)
    for number in ("1", "2"):
        page.locator(".pager select").select_option(number)
        for tab in ("Text", "Markdown", "Lines"):
            page.get_by_role("tab", name=tab).click()
            page.locator("#text-panel > *").first.wait_for()
            for piece in page.locator("#text-panel > * > *").all():
                piece.dispatch_event("mouseover")
        expect(page.locator(".line-row").first).to_contain_text(LINES[0])
    page.locator(".pager select").select_option("1")
    page.get_by_role("tab", name="Text").click()
    expect(page.locator(".rendered h1")).to_have_text("Still readable")
    shown = page.locator(".rendered")
    left = "script, style, link, base, iframe, object, embed, form, input, svg, a, meta, details"
    assert shown.locator(left).count() == 0
    assert shown.locator("[style], [id], [name], [onclick], [href]").count() == 0
    assert shown.locator("img[src]").count() == 0
    assert page.evaluate("window.ran") is None
    assert page.url.startswith(visit.server.url)
    visit.assert_quiet()


def told(visit: Visit, **changes: bool) -> None:
    """The page is told something else than this server's settings."""
    config = visit.server.http.get("/ui/config.json").json()
    body = json.dumps({**config, **changes})
    visit.page.route("**/ui/config.json", lambda route: route.fulfill(body=body))


def test_unload_gives_the_memory_back_and_the_picture_shows_it(visit: Visit) -> None:
    page, http = visit.page, visit.server.http
    assert http.post("/v1/models/structure/load").json()["done"]
    visit.go("memory")
    row = page.locator("[data-model=structure]")
    expect(row).to_contain_text("ready")
    expect(row).to_contain_text("unloaded in")
    legend = page.locator(".domain [data-series=structure]")
    expect(legend).to_be_visible()
    page.locator(".chart canvas").wait_for()
    picture(page, "ui-memory")
    page.get_by_role("button", name="Unload structure").click()
    expect(page.locator(".told")).to_contain_text("structure is unloaded:")
    expect(page.locator(".told")).to_contain_text("came back, verified")
    expect(row).to_contain_text("unloaded")
    expect(legend).to_have_count(0)
    expect(page.locator("[data-engine=structure]")).to_have_count(0)
    expect(page.locator(".events li").first).to_contain_text("an operator's order")
    (domain,) = http.get("/v1/memory").json()["domains"]
    assert "structure" not in {engine["model"] for engine in domain["engines"]}
    page.get_by_role("button", name="Pin structure").click()
    expect(row.get_by_role("button", name="Unpin structure")).to_be_visible()
    page.get_by_role("button", name="Unpin structure").click()
    expect(row.get_by_role("button", name="Pin structure")).to_be_visible()
    visit.assert_quiet()


def test_tasks_can_be_filtered_and_ordered(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1400, "height": 900})
    visit.go("tasks")
    rows, filters = page.locator("[data-outcome]"), page.locator(".filters")
    rows.first.wait_for()
    filters.get_by_label("Outcome").select_option("success")
    expect(page.locator("[data-outcome]:not([data-outcome=success])")).to_have_count(0)
    filters.get_by_label("Order").select_option("slowest")
    filters.get_by_label("Show").select_option("request")
    expect(rows.first.locator("td").nth(3)).to_have_text("all")
    visit.assert_quiet()


@pytest.mark.parametrize("theme", THEMES)
def test_no_serious_fault_for_who_cannot_see_well(
    visit: Visit, theme: Literal["light", "dark"]
) -> None:
    page = visit.page
    page.emulate_media(color_scheme=theme)
    visit.go()
    for view in ("documents", "memory", "tasks"):
        page.get_by_role("navigation").get_by_role("link", name=view.title()).click()
        page.locator(
            {"documents": ".item", "memory": ".domain", "tasks": "[data-outcome]"}[view]
        ).first.wait_for()
        if view == "documents":
            page.get_by_role("button", name="Open", exact=True).first.click()
            page.locator("#viewer .panes").wait_for()
        found = Axe().run(page).response["violations"]
        serious = [
            (view, one["id"], [node["html"][:160] for node in one["nodes"]][:3])
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []


def test_a_narrow_screen_shows_everything_without_scrolling_sideways(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 360, "height": 740})
    visit.go()
    page.get_by_role("button", name="Open", exact=True).first.click()
    page.locator("#viewer .panes").wait_for()
    for view in ("documents", "memory", "tasks"):
        page.get_by_role("navigation").get_by_role("link", name=view.title()).click()
        page.locator(
            {"documents": ".item", "memory": ".domain", "tasks": "[data-outcome]"}[view]
        ).first.wait_for()
        assert page.evaluate(WIDER) == [], view


def test_the_first_view_is_small_and_the_documentation_needs_nobody_else(visit: Visit) -> None:
    page = visit.page
    visit.go()
    page.locator(".drop").wait_for()
    sizes = "performance.getEntriesByType('resource').reduce((n, e) => n + e.transferSize, 0)"
    assert 0 < page.evaluate(sizes) < 150_000
    page.goto(visit.server.url)
    page.get_by_role("link", name="API").click()
    expect(page.get_by_text("/v1/parse").first).to_be_visible()
    visit.assert_quiet()
