"""What the endpoints are asked: each at least once well, and once not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.differential.endpoints import YIELDS

__all__ = ["ASKED", "Asked"]

_BOUNDARY = "----boundary"


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = ...
    form: dict[str, Any] | None = None
    data: bytes | None = None
    well: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}{'?' * bool(self.query)}{self.query[:40]}"


def _multipart(*parts: tuple[str, str | None, bytes]) -> dict[str, Any]:
    lines = b""
    for name, filename, body in parts:
        told = f'; filename="{filename}"\r\nContent-Type: text/csv' if filename is not None else ""
        lines += (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'.encode() + body + b"\r\n"
        )
    kind = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
    return {"headers": kind, "data": lines + f"--{_BOUNDARY}--\r\n".encode()}


TEA = {"name": "tea", "price": 3.5, "tags": ["hot"], "images": [{"url": "/a"}]}
IMAGE = {"url": "/b"}
NAMES = ["one", "two"]

ASKED = [
    Asked("GET", "/items/7", "q=x&short=on"),
    Asked("GET", "/items/seven", "short=perhaps", well=False),
    Asked("HEAD", "/items/7", well=False),
    Asked("POST", "/items/7", well=False),
    Asked("GET", "/models/alex"),
    Asked("GET", "/models/gpt", well=False),
    Asked("GET", "/files/a/b.txt"),
    Asked("GET", "/search", "item-query=a&item-query=b&size=2.5&hidden=h"),
    Asked("GET", "/search", "size=11", well=False),
    Asked("GET", "/filtered", "limit=3&tags=a&tags=b"),
    Asked("GET", "/filtered", "limit=0&tool=hammer", well=False),
    Asked("GET", "/bounds/5", "at=2026-11-22"),
    Asked("GET", "/bounds/0", well=False),
    Asked("GET", "/headers", headers={"user-agent": "me", "x-token": "a", "cookie": "ads_id=1"}),
    Asked("POST", "/items", json=TEA),
    Asked("POST", "/items", json={"name": "x", "price": "dear", "images": [{}]}, well=False),
    Asked("POST", "/items", headers={"content-type": "application/json"}, data=b'{"name": ', well=False),
    Asked("POST", "/items", well=False),
    Asked("PUT", "/items/7", json={"item": TEA, "user": IMAGE, "importance": 3}),
    Asked("PUT", "/items/7", json={"item": TEA, "importance": 0}, well=False),
    Asked("PATCH", "/embedded", "q=x", json={"item": TEA}),
    Asked("PATCH", "/embedded", json=TEA, well=False),
    Asked("POST", "/weights", json={"1": 2.5}),
    Asked("POST", "/weights", json={"one": 2.5}, well=False),
    Asked("POST", "/images", json=[IMAGE, IMAGE]),
    Asked("POST", "/images", json=IMAGE, well=False),
    Asked(
        "POST",
        "/kinds",
        json={"uuid": "1e4b6e0c-3d1c-4f0a-8a57-54f4d1a0b3aa", "at": "2026-11-22T01:02:03Z", "amount": "1.50"},
    ),
    Asked("POST", "/kinds", json={"uuid": "no", "at": "no", "amount": "no"}, well=False),
    Asked("POST", "/raw", data=b"x" * 1000),
    Asked("DELETE", "/items/7"),
    Asked("POST", "/login", form={"username": "ada", "password": "pass"}),
    Asked("POST", "/login", form={"username": "ada", "password": "p"}, well=False),
    Asked("POST", "/login", json={"username": "ada"}, well=False),
    Asked("POST", "/login-model", form={"username": "ada", "password": "p"}),
    Asked("POST", "/login-model", form={"username": "ada"}, well=False),
    Asked("POST", "/file", **_multipart(("file", "a.csv", b"1,2"))),
    Asked("POST", "/file", **_multipart(("other", None, b"1")), well=False),
    Asked("POST", "/upload", **_multipart(("file", "a.csv", b"1,2"), ("token", None, b"t"))),
    Asked("POST", "/upload", **_multipart(("file", None, b"1,2")), well=False),
    Asked("POST", "/uploads", **_multipart(*(("files", name, b"1") for name in NAMES))),
    Asked("GET", "/common", "q=x&skip=3"),
    Asked("GET", "/common", "skip=x", well=False),
    Asked("GET", "/nested", "q=x", {"x-token": "secret"}),
    Asked("GET", "/nested", headers={"x-token": "wrong"}, well=False),
    Asked("GET", "/nested", well=False),
    Asked("GET", "/required", headers={"x-token": "secret"}),
    Asked("GET", "/required", headers={"x-token": "wrong"}, well=False),
    Asked("POST", "/transaction/well"),
    Asked("POST", "/transaction/http", well=False),
    Asked("POST", "/transaction/mine", well=False),
    Asked("POST", "/transaction/bug", well=False),
    Asked("GET", "/model"),
    Asked("GET", "/either"),
    Asked("GET", "/either", "image=1"),
    Asked("GET", "/own-headers"),
    Asked("GET", "/html"),
    Asked("GET", "/plain"),
    Asked("GET", "/away"),
    Asked("GET", "/stream"),
    *([Asked("GET", "/lines")] if YIELDS else []),
    Asked("GET", "/documented"),
    Asked("GET", "/hidden"),
    Asked("GET", "/bearer", headers={"authorization": "Bearer t"}),
    Asked("GET", "/bearer", well=False),
    Asked("GET", "/basic", headers={"authorization": "Basic YWRhOnA="}),
    Asked("GET", "/basic", well=False),
    Asked("GET", "/key", headers={"x-key": "k"}),
    Asked("GET", "/key", well=False),
    Asked("GET", "/nowhere", well=False),
]
