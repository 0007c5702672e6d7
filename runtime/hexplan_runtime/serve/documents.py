"""Documents: the page at `/`, which loads nothing from elsewhere, and the OpenAPI description."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from hexplan_runtime.serve.bodies import (
    Body,
    ChatBody,
    CompletionBody,
    DetokenizeBody,
    TokenizeBody,
)
from hexplan_runtime.serve.problems import JsonObject

_BODIES: Final[dict[str, type[Body]]] = {
    "/v1/completions": CompletionBody,
    "/v1/chat/completions": ChatBody,
    "/tokenize": TokenizeBody,
    "/detokenize": DetokenizeBody,
}
_READS: Final = (
    "/health",
    "/readyz",
    "/version",
    "/metrics",
    "/plan",
    "/v1/models",
    "/tokenizer_info",
)


async def page(request: Request) -> HTMLResponse:
    """Answer `/`."""
    html, policy = _read()
    headers = {"content-security-policy": policy, "x-content-type-options": "nosniff"}
    return HTMLResponse(html, headers=headers)


@cache
def _read() -> tuple[str, str]:
    """Return the page, and the policy that lets it run its own script and no other."""
    html = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    own = {tag: _hashes(tag, html) for tag in ("script", "style")}
    policy = (
        f"default-src 'none'; script-src {own['script']}; style-src {own['style']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return html, policy


def _hashes(tag: str, html: str) -> str:
    parts = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(p.encode()).digest()).decode() for p in parts]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


async def openapi(request: Request) -> JSONResponse:
    """Answer /openapi.json."""
    return JSONResponse(describe())


@cache
def describe() -> JsonObject:
    """Return the OpenAPI description of the endpoints, made from what they parse."""
    kinds = [(kind, "validation") for kind in _BODIES.values()]
    _, schemas = models_json_schema(kinds, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    paths: JsonObject = {path: {"get": {"responses": _responses()}} for path in _READS}
    for path, kind in _BODIES.items():
        schema: JsonObject = {"$ref": f"#/components/schemas/{kind.__name__}"}
        body: JsonObject = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths[path] = {"post": {"requestBody": body, "responses": _responses()}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "hexplan", "version": version("hexplan")},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _responses() -> JsonObject:
    return {"200": {"description": "done"}, "default": {"description": "OpenAI's error object"}}
