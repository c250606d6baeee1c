"""Callbacks of jobs: guarded, signed, tried again, told once, over restarts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.api.job_views import callback_body
from serve_app.api.url_post import UrlPoster
from serve_app.api.webhooks import VARIABLE, webhooks_of
from serve_app.jobs.folder import stores
from serve_app.jobs.webhooks import LEASE_S, Webhooks
from serve_app.policy.job import Job
from serve_app.policy.webhook import MAX_TRIES, answered, claimed, read_secret
from serve_app.settings import AppSettings, UrlFetchSettings
from serve_app.testing.service import fake_settings
from tests import documents
from tests.unit.jobs_scene import JobScene, eventually, job_scene, job_settings

PNG = documents.picture("png")
KEY = b"k" * 32
SECRET = "whsec_" + base64.b64encode(KEY).decode()
URL = "https://hooks.example.com/ocr?x=1"
PUBLIC = "93.184.216.34"


@dataclass
class Receiver:
    """What was posted where, and what is answered."""

    status: int = 204
    address: str = PUBLIC
    asked: list[httpx.Request] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return [self.address]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(self.status, headers={"location": "https://elsewhere.example.com"})

    def poster(self) -> UrlPoster:
        return UrlPoster(UrlFetchSettings(), self.resolve, lambda: httpx.MockTransport(self.answer))


@asynccontextmanager
async def scene_of(folder: Path, receiver: Receiver) -> AsyncIterator[JobScene]:
    store, _ = stores(folder)
    webhooks = Webhooks(store, receiver.poster(), callback_body, KEY)
    try:
        settings = job_settings(webhooks=True)
        async with job_scene(folder, settings=settings, webhooks=webhooks) as scene:
            yield scene
    finally:
        await store.close()


async def told(scene: JobScene, job_id: str, state: str) -> dict[str, Any]:
    """The job when its callback is in this state."""
    seen: dict[str, Any] = {}

    async def look() -> bool:
        seen.update(await scene.job(job_id))
        return bool(seen["callback"]["state"] == state)

    for _ in range(2000):
        if await look():
            return seen
        await asyncio.sleep(0.005)
    raise AssertionError(seen)


async def test_the_end_of_a_job_is_told_and_signed(tmp_path: Path) -> None:
    receiver = Receiver()
    async with scene_of(tmp_path, receiver) as scene:
        job = await scene.ended_job(PNG, callback_url=URL)
        assert (await told(scene, job["id"], "delivered"))["callback"]["tries"] == 1
    (request,) = receiver.asked
    # To the address that was looked at, with the name in Host and in the handshake.
    assert str(request.url) == f"https://{PUBLIC}/ocr?x=1"
    assert request.headers["host"] == "hooks.example.com"
    assert request.extensions["sni_hostname"] == "hooks.example.com"
    body = json.loads(request.content)
    assert body["type"] == "job.done"
    assert body["data"]["id"] == job["id"]
    message_id, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    signed = f"{message_id}.{at}.".encode() + request.content
    digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
    assert message_id == f"job_{job['id']}"


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_another_answer_is_tried_again_later(tmp_path: Path, status: int) -> None:
    receiver = Receiver(status)
    async with scene_of(tmp_path, receiver) as scene:
        job = await scene.ended_job(PNG, callback_url=URL)
        await eventually(lambda: receiver.asked)
        seen = await told(scene, job["id"], "waiting")
        assert seen["callback"]["tries"] == 1
    assert [str(one.url.host) for one in receiver.asked] == [PUBLIC]  # no redirect


async def test_a_restart_goes_on_telling(tmp_path: Path) -> None:
    store, _ = stores(tmp_path)
    settings = job_settings(webhooks=True)
    async with job_scene(tmp_path, settings=settings) as scene:  # nobody tells
        job = await scene.ended_job(PNG, callback_url=URL)
    await store.close()
    receiver = Receiver()
    async with scene_of(tmp_path, receiver) as scene:
        await told(scene, job["id"], "delivered")
    assert len(receiver.asked) == 1


async def test_a_name_inside_is_not_spoken_to(tmp_path: Path) -> None:
    receiver = Receiver(address="10.0.0.7")
    async with scene_of(tmp_path, receiver) as scene:
        job = await scene.ended_job(PNG, callback_url=URL)
        await told(scene, job["id"], "given_up")
    assert receiver.asked == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.com/", "Only http and https"),
        ("http://127.0.0.1/", "not on the public internet"),
        ("http://[::1]/", "not on the public internet"),
        ("https://example.com:8443/", "Port 8443"),
        ("https://user:secret@example.com/", "a password"),
        ("https://example.com/" + "x" * 2000, "more than 2000"),
    ],
)
async def test_a_url_that_is_not_spoken_to_is_refused_at_once(
    tmp_path: Path, url: str, words: str
) -> None:
    async with scene_of(tmp_path, Receiver()) as scene:
        answer = await scene.client.post("/v1/jobs", params={"callback_url": url}, content=PNG)
    assert answer.status_code == 422
    assert words in answer.json()["error"]["message"]
    assert "callback_url" in answer.json()["error"]["message"]


async def test_they_are_off_unless_configured(tmp_path: Path) -> None:
    async with job_scene(tmp_path) as scene:
        answer = await scene.client.post("/v1/jobs", params={"callback_url": URL}, content=PNG)
    assert "jobs.webhooks" in answer.json()["error"]["message"]


def test_the_secret_is_checked_at_the_start(tmp_path: Path) -> None:
    store, _ = stores(tmp_path)
    on: AppSettings = job_settings(webhooks=True)
    assert webhooks_of(fake_settings(), store, {}) is None
    assert webhooks_of(on, store, {VARIABLE: SECRET}) is not None
    for text, words in (("", "not set"), ("whsec_!", "base64"), ("whsec_" + "YQ==", "fewer")):
        with pytest.raises(ValueError, match=words) as caught:
            webhooks_of(on, store, {VARIABLE: text})
        assert not text or text not in str(caught.value)
    assert read_secret(SECRET) == KEY


def test_tries_are_further_and_further_apart_and_bounded() -> None:
    at = 100.0
    job = Job("j", "", "ocr", "batch", 1, 0, 1, state="done", callback_url=URL, callback_at=at)
    waits = []
    while job.callback_at is not None:
        at = job.callback_at
        job = claimed(job, at, LEASE_S)
        assert job.callback_at == at + LEASE_S
        job = answered(job, None, at)
        if job.callback_at is not None:
            waits.append(job.callback_at - at)
    assert waits[:3] == [5, 10, 20]
    assert len(waits) == MAX_TRIES - 1
    assert 2500 < sum(waits) < 7200
    assert job.callback_state == "given_up"
    gone = claimed(Job("j", "", "o", "batch", 1, 0, 1, "done", callback_at=1.0), 1.0, LEASE_S)
    assert answered(gone, 410, 2.0).callback_state == "given_up"
