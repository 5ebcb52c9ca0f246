"""The page at / and /docs: self-contained, and allowed to run nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx
import pytest


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_it_loads_nothing_from_elsewhere(stranger: httpx.AsyncClient, path: str) -> None:
    response = await stranger.get(path)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    urls = set(re.findall(r"https?://[^\s\"'<>)]+", response.text))
    assert urls <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(script|link|img|iframe)[^>]*\b(src|href)=\"(?!#|data:)", response.text)


async def test_its_policy_allows_just_its_own_script_and_style(stranger: httpx.AsyncClient) -> None:
    response = await stranger.get("/docs")
    policy = response.headers["content-security-policy"]
    for tag in ("script", "style"):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_it_uses_nothing_that_its_policy_forbids(stranger: httpx.AsyncClient) -> None:
    text = (await stranger.get("/docs")).text
    assert not re.search(r"\son[a-z]+=|\sstyle=|javascript:|\beval\(|\binnerHTML\b", text)


async def test_it_keeps_no_key(stranger: httpx.AsyncClient) -> None:
    text = (await stranger.get("/docs")).text
    assert not re.search(r"localStorage|sessionStorage|document\.cookie|indexedDB", text)
    [field] = re.findall(r"<input[^>]*type=\"password\"[^>]*>", text)
    assert 'autocomplete="off"' in field
