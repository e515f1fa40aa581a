"""All that is not an answer of a model: whether the gateway is well, what it does, what it serves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentrt.errors import AgentRTError, RequestRejected
from agentrt.gateway.errors_json import Refusal, refusal_of
from agentrt.gateway.model_list import listed_models
from agentrt.gateway.services import Services
from agentrt.gateway.turns import Caller

Page: TypeAlias = Callable[[Request], Awaitable[Response]]

_MAX_BODY_BYTES = 65_536


class _Pages:
    def __init__(self, services: Services, is_draining: Callable[[], bool]) -> None:
        self._services = services
        self._is_draining = is_draining

    async def health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        if self._is_draining():
            return _not_ready("draining")
        if not self._services.is_ready():
            return _not_ready("no replica is up")
        return JSONResponse({"status": "ready"})

    async def metrics(self, _request: Request) -> Response:
        content = self._services.metrics()
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def models(self, request: Request) -> Response:
        self._caller(request)
        return JSONResponse(await listed_models(self._services.listing()))

    async def model(self, request: Request) -> Response:
        self._caller(request)
        name = request.path_params["name"]
        listed = await listed_models(self._services.listing())
        for entry in listed["data"]:
            if entry["id"] == name:
                return JSONResponse(entry)
        raise RequestRejected(f"there is no model {name!r}")

    async def programs(self, request: Request) -> Response:
        return JSONResponse(self._services.programs(self._caller(request)))

    async def program_prefix(self, request: Request) -> Response:
        caller, program = self._caller(request), request.path_params["program"]
        has_text = request.query_params.get("text") == "1"
        found = self._services.program_prefix(caller, program, has_text)
        return _no_program(program) if found is None else JSONResponse(found)

    async def end_program(self, request: Request) -> Response:
        return self._ended(self._caller(request), request.path_params["program"])

    async def release_program(self, request: Request) -> Response:
        """As ThunderAgent has it, for clients that were written for that."""
        caller = self._caller(request)
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MAX_BODY_BYTES:
                raise RequestRejected(
                    "the body is too long", status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                )
        try:
            program = json.loads(body)["program_id"]
        except (ValueError, RecursionError, KeyError, TypeError):
            program = None
        if not isinstance(program, str):
            raise RequestRejected("program_id is missing", status=HTTPStatus.BAD_REQUEST)
        return self._ended(caller, program)

    def _ended(self, caller: Caller, program: str) -> Response:
        if not self._services.end_program(caller, program):
            return _no_program(program)
        return JSONResponse({"program_id": program, "status": "ended"})

    def _caller(self, request: Request) -> Caller:
        return self._services.authenticate(dict(request.headers))


def pages(services: Services, *, is_draining: Callable[[], bool]) -> Starlette:
    """The application of all that."""
    own = _Pages(services, is_draining)
    gets: dict[str, Page] = {
        "/health": own.health,
        "/ready": own.ready,
        "/metrics": own.metrics,
        "/programs": own.programs,
        "/programs/{program:path}/prefix": own.program_prefix,
        "/v1/models": own.models,
        "/v1/models/{name:path}": own.model,
    }
    routes = [Route(path, page, methods=["GET"]) for path, page in gets.items()]
    routes += [
        Route("/programs/release", own.release_program, methods=["POST"]),
        Route("/programs/{program:path}/end", own.end_program, methods=["POST"]),
        Route("/programs/{program:path}", own.end_program, methods=["DELETE"]),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_error, AgentRTError: _own_error},
    )


def _no_program(program: str) -> Response:
    refusal = Refusal(
        status=HTTPStatus.NOT_FOUND,
        message=f"there is no program {program!r}",
        code="program_not_found",
    )
    return _refused(refusal)


def _not_ready(why: str) -> Response:
    return JSONResponse(
        {"status": why}, status_code=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "5"}
    )


async def _own_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AgentRTError)  # noqa: S101  it was registered for those
    return _refused(refusal_of(error))


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own: no such path, or not that method."""
    assert isinstance(error, HTTPException)  # noqa: S101  it was registered for those
    is_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    what = "may not be asked for so" if is_method else "is not served here"
    refusal = Refusal(
        status=error.status_code, message=f"{request.method} {request.url.path} {what}"
    )
    response = _refused(refusal)
    response.headers.update(error.headers or {})
    return response


def _refused(refusal: Refusal) -> Response:
    headers = {name.decode(): value.decode() for name, value in refusal.headers()}
    return Response(refusal.body(), status_code=refusal.status, headers=headers)
