"""The HTTP side of Auth."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from emulator.auth import errors
from emulator.auth.errors import VERSION, VERSION_HEADER, AuthError
from emulator.auth.service import Pool, Service, user_id
from emulator.cluster import SUPERUSER
from emulator.identity import Identity, InvalidToken
from emulator.pool import CheckedPool
from emulator.project import Project
from emulator.rest import gateway
from emulator.rest.errors import GatewayError

logger = logging.getLogger(__name__)

Answer = Callable[[Request], Awaitable[Response]]
ADMINISTRATORS = ("service_role", "supabase_admin")
SCOPES = ("global", "local", "others")
PAGE = 50
MOST = 1000
SETTINGS = {
    "external": {"email": True, "phone": False, "anonymous_users": False},
    "disable_signup": False,
    "mailer_autoconfirm": True,
    "phone_autoconfirm": False,
    "sms_provider": "",
    "saml_enabled": False,
}


class Endpoints:
    """The routes below /auth/v1."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Full paths, so that whatever else lies below /auth/v1 is left to others."""
        table: list[tuple[str, str, Answer]] = [
            ("POST", "/signup", self._sign_up),
            ("POST", "/token", self._token),
            ("GET", "/user", self._user),
            ("PUT", "/user", self._change),
            ("POST", "/logout", self._sign_out),
            ("GET", "/settings", self._settings),
            ("POST", "/admin/users", self._create),
            ("GET", "/admin/users", self._list),
            ("GET", "/admin/users/{id}", self._get),
            ("PUT", "/admin/users/{id}", self._update),
            ("DELETE", "/admin/users/{id}", self._delete),
        ]
        return [
            Route(f"/auth/v1{path}", self._guarded(answer), methods=[method])
            for method, path, answer in table
        ]

    def _guarded(self, answer: Answer) -> Answer:
        async def guarded(request: Request) -> Response:
            try:
                gateway.holder(self._service.keys, _apikey(request))
                return await answer(request)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            except GatewayError as exc:
                return Response(exc.body(), exc.status, media_type="application/json")
            except AuthError as exc:
                return _refusal(request, exc)
            except (psycopg.Error, PoolTimeout) as exc:
                logger.warning("request to auth failed error=%r", str(exc).strip())
                message = "Database error, please check server logs for more information"
                return _refusal(request, AuthError(500, "unexpected_failure", message))

        return guarded

    async def _sign_up(self, request: Request) -> Response:
        return JSONResponse(await self._service.sign_up(await _body(request)))

    async def _token(self, request: Request) -> Response:
        kind = request.query_params.get("grant_type")
        body = await _body(request)
        if kind == "password":
            session = await self._service.sign_in(body.get("email"), body.get("password"))
        elif kind == "refresh_token":
            session = await self._service.refresh(body.get("refresh_token"))
        elif kind in {"id_token", "pkce", "web3"}:
            raise errors.not_imitated(f"grant_type={kind}")
        else:
            return JSONResponse({"error": "unsupported_grant_type", "error_description": ""}, 400)
        return JSONResponse(session)

    async def _user(self, request: Request) -> Response:
        user = await self._service.user_of(self._identity(request))
        return JSONResponse(user.shown())

    async def _change(self, request: Request) -> Response:
        user = await self._service.user_of(self._identity(request))
        changed = await self._service.change(user, await _body(request))
        return JSONResponse(changed.shown())

    async def _sign_out(self, request: Request) -> Response:
        scope = request.query_params.get("scope", "global")
        if scope not in SCOPES:
            raise errors.invalid(f'Unsupported logout scope "{scope}"')
        identity = self._identity(request)
        user = await self._service.user_of(identity)
        await self._service.sign_out(user, identity, scope)  # type: ignore[arg-type] # one of SCOPES
        return Response(status_code=204)

    async def _settings(self, request: Request) -> Response:
        return JSONResponse(SETTINGS)

    async def _create(self, request: Request) -> Response:
        self._administrator(request)
        return JSONResponse((await self._service.create(await _body(request))).shown())

    async def _list(self, request: Request) -> Response:
        self._administrator(request)
        page = _number(request.query_params.get("page"), 1)
        size = min(_number(request.query_params.get("per_page"), PAGE), MOST)
        users, total = await self._service.page(page, size)
        content = {"users": [user.shown() for user in users], "aud": "authenticated"}
        return JSONResponse(content, headers={"X-Total-Count": str(total)})

    async def _get(self, request: Request) -> Response:
        self._administrator(request)
        return JSONResponse((await self._service.get(_path_id(request))).shown())

    async def _update(self, request: Request) -> Response:
        self._administrator(request)
        changed = await self._service.update(_path_id(request), await _body(request))
        return JSONResponse(changed.shown())

    async def _delete(self, request: Request) -> Response:
        self._administrator(request)
        await self._service.delete(_path_id(request))
        return JSONResponse({})

    def _identity(self, request: Request) -> Identity:
        token = gateway.bearer(request.headers.get("authorization")) or ""
        if not token:
            message = "This endpoint requires a valid Bearer token"
            raise AuthError(401, "no_authorization", message)
        try:
            return self._service.keys.identify(token)
        except InvalidToken as exc:
            reason = f"unable to parse or verify signature, {str(exc)[0].lower()}{str(exc)[1:]}"
            raise errors.bad_token(f"invalid JWT: {reason}") from exc

    def _administrator(self, request: Request) -> None:
        if self._identity(request).role not in ADMINISTRATORS:
            raise AuthError(403, "not_admin", "User not allowed")


def _apikey(request: Request) -> str | None:
    return request.headers.get("apikey") or request.query_params.get("apikey")


async def _body(request: Request) -> Mapping[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError) as exc:
        raise errors.bad_json() from exc
    if not isinstance(body, dict):
        raise errors.bad_json()
    return body


def _refusal(request: Request, error: AuthError) -> Response:
    version = request.headers.get(VERSION_HEADER)
    headers = {"X-Sb-Error-Code": error.code}
    if version is not None and version >= VERSION:
        headers["X-Supabase-Api-Version"] = VERSION
    return JSONResponse(error.body(version), error.status, headers)


def _number(text: str | None, default: int) -> int:
    digits = text if text and text.isascii() and text.isdecimal() and len(text) < 9 else ""
    return max(int(digits), 1) if digits else default


def _path_id(request: Request) -> Any:
    return user_id(request.path_params["id"])


CONNECTIONS = 4
WAIT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0


@asynccontextmanager
async def mount(project: Project) -> AsyncIterator[Sequence[BaseRoute]]:
    """Serve /auth/v1 while it is entered."""
    pool: Pool = CheckedPool(
        project.database.dsn(SUPERUSER),
        min_size=0,  # most projects never sign anybody in
        max_size=CONNECTIONS,
        timeout=WAIT_SECONDS,
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
        name="auth",
    )
    async with pool:
        yield Endpoints(Service(pool, project.keys, f"{project.url}/auth/v1")).routes()
