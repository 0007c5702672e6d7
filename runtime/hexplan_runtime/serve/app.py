"""The application: which path is answered by what."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hexplan_runtime.serve.access import Gate
from hexplan_runtime.serve.documents import openapi, page
from hexplan_runtime.serve.front import Front, Log
from hexplan_runtime.serve.model_api import ModelApi
from hexplan_runtime.serve.problems import ApiError, Broken, NotAllowed, NotFound, respond
from hexplan_runtime.serve.service import Service

_LEFT = 499
"""The status in the log of a request whose client has left, as nginx writes it."""


def make_app(service: Service, log: Log) -> ASGIApp:
    """Return the application.

    Parameters
    ----------
    log
        Takes a line for each request.
    """
    model = ModelApi(service)

    async def health(request: Request) -> Response:
        return Response()

    async def readyz(request: Request) -> Response:
        obstacles = service.health.obstacles()
        status = 503 if obstacles else 200
        notice = service.health.notice
        said = {} if notice is None else {"notice": notice}
        return JSONResponse({"ready": not obstacles, "obstacles": obstacles, **said}, status)

    async def metrics(request: Request) -> Response:
        body, kind = service.metrics.page(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": kind})

    async def plan(request: Request) -> Response:
        return JSONResponse(service.state.as_json())

    routes = [
        Route("/", page),
        Route("/openapi.json", openapi),
        Route("/health", health),
        Route("/ping", health),
        Route("/readyz", readyz),
        Route("/version", model.version),
        Route("/metrics", metrics),
        Route("/plan", plan),
        Route("/v1/models", model.models),
        Route("/v1/models/{name:path}", model.model),
        Route("/v1/completions", service.completion, methods=["POST"]),
        Route("/v1/chat/completions", service.chat, methods=["POST"]),
        Route("/tokenize", model.tokenize, methods=["POST"]),
        Route("/detokenize", model.detokenize, methods=["POST"]),
        Route("/tokenizer_info", model.tokenizer_info),
    ]
    app = Starlette(
        routes=routes,
        lifespan=service.lifespan,
        exception_handlers={
            ApiError: _tell,
            HTTPException: _tell_http,
            ClientDisconnect: _tell_nobody,
            Exception: _tell_bug,
        },
    )
    app.router.redirect_slashes = False
    settings = service.settings
    gate = Gate(settings.access)
    return Front(app, gate, settings.limits.body_bytes, log)


async def _tell(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return respond(error)


async def _tell_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path[:200]}"
    if error.status_code == NotAllowed.status:
        problem: ApiError = NotAllowed(f"{what}: not allowed", code="method_not_allowed")
    else:
        problem = NotFound(f"{what}: there is no such path", code="unknown_path")
    response = respond(problem)
    response.headers.update(error.headers or {})
    return response


async def _tell_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=_LEFT)


async def _tell_bug(request: Request, error: Exception) -> Response:
    return respond(Broken(f"hexplan has a bug: {type(error).__name__}"))
