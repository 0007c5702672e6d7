"""The page at `/`: one file, which loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse


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
