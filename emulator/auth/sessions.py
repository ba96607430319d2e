"""Sessions and their refresh tokens."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import Literal

from emulator.auth.errors import AuthError
from emulator.auth.users import Connection

# A token that was used shortly before is honoured again: two tabs may refresh at once.
REUSE_SECONDS = 10
TOKEN_BYTES = 9
Scope = Literal["global", "local", "others"]


@dataclass(frozen=True)
class Session:
    """A signed-in client, and the token that it refreshes with next."""

    id: uuid.UUID
    user_id: uuid.UUID
    refresh_token: str


async def start(connection: Connection, user_id: uuid.UUID) -> Session:
    """A new session of the user, who has signed in just now."""
    session = uuid.uuid4()
    await connection.execute(
        "insert into auth.sessions (id, user_id) values (%s, %s)", (session, user_id)
    )
    await connection.execute(
        "update auth.users set last_sign_in_at = clock_timestamp() where id = %s", (user_id,)
    )
    return Session(session, user_id, await _token(connection, session, user_id, None))


async def refreshed(connection: Connection, token: str) -> Session:
    """The session of `token`, with a new token in its place.

    A token that was used gives its successor again as long as that was not used.

    Raises:
        AuthError: The token is unknown, or was used longer ago: whoever has that
            may have stolen it, and so no token of the session is good from then on.
    """
    cursor = await connection.execute(
        "select r.session_id, s.user_id, r.revoked,"
        " r.updated_at < clock_timestamp() - make_interval(secs => %s)"
        " from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id"
        " where r.token = %s for update",
        (REUSE_SECONDS, token),
    )
    found = await cursor.fetchone()
    if found is None:
        message = "Invalid Refresh Token: Refresh Token Not Found"
        raise AuthError(400, "refresh_token_not_found", message)
    session, user_id, used, is_old = found
    if used:
        successor = await _unused_successor(connection, session, token)
        if successor is not None:
            return Session(session, user_id, successor)
        if is_old:
            await _revoke(connection, session)
            await connection.commit()  # the exception would undo it
            message = "Invalid Refresh Token: Already Used"
            raise AuthError(400, "refresh_token_already_used", message)
    await connection.execute(
        "update auth.refresh_tokens set revoked = true, updated_at = clock_timestamp()"
        " where token = %s and not revoked",
        (token,),
    )
    return Session(session, user_id, await _token(connection, session, user_id, token))


async def _unused_successor(connection: Connection, session: uuid.UUID, token: str) -> str | None:
    cursor = await connection.execute(
        "select token, parent from auth.refresh_tokens"
        " where session_id = %s and not revoked order by id desc limit 1",
        (session,),
    )
    newest = await cursor.fetchone()
    return newest[0] if newest is not None and newest[1] == token else None


async def _revoke(connection: Connection, session: uuid.UUID) -> None:
    await connection.execute(
        "update auth.refresh_tokens set revoked = true, updated_at = clock_timestamp()"
        " where session_id = %s and not revoked",
        (session,),
    )


async def is_open(connection: Connection, session: str) -> bool:
    """Whether the session of that id has not been ended."""
    cursor = await connection.execute(
        "select from auth.sessions where id::text = %s", (session.lower(),)
    )
    return cursor.rowcount > 0


async def end(connection: Connection, user_id: uuid.UUID, session: str, scope: Scope) -> None:
    """Sign out: this session, all of the user's, or all but this one."""
    await connection.execute(
        "delete from auth.sessions where user_id = %s and case %s::text"
        " when 'local' then id::text = %s when 'others' then id::text <> %s else true end",
        (user_id, scope, session, session),
    )


async def _token(
    connection: Connection, session: uuid.UUID, user_id: uuid.UUID, parent: str | None
) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await connection.execute(
        "insert into auth.refresh_tokens (token, user_id, session_id, parent)"
        " values (%s, %s, %s, %s)",
        (token, str(user_id), session, parent),
    )
    return token
