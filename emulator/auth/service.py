"""What can be asked of Auth, in terms of users and sessions."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg_pool import AsyncConnectionPool

from emulator.auth import errors, passwords, sessions, users
from emulator.auth.errors import AuthError
from emulator.auth.sessions import Scope, Session
from emulator.auth.users import Connection, User
from emulator.identity import Identity, Keys

SECONDS = 3600
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
Pool = AsyncConnectionPool[Connection]


@dataclass(frozen=True)
class Service:
    """The users of one project; every method raises AuthError when it refuses."""

    pool: Pool
    keys: Keys
    issuer: str

    async def sign_up(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Create a user and sign them in; addresses need no confirmation here."""
        if not wish.get("email"):
            raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        if not wish.get("password"):
            raise errors.invalid("Signup requires a valid password", 422)
        given = {"user_metadata": wish.get("data"), "email_confirm": True}
        taken = AuthError(422, "user_already_exists", "User already registered")
        user = await self._create({**_only(wish, "email", "password"), **given}, taken)
        return await self._signed_in(user.id, "password")

    async def sign_in(self, email: object, password: object) -> dict[str, Any]:
        """Start a session by password."""
        if not isinstance(email, str) or not isinstance(password, str) or not email:
            raise errors.invalid("missing email or phone")
        async with self.pool.connection() as connection:
            user = await users.by_email(connection, _plain(email))
        kept = None if user is None else user.encrypted_password
        known = await asyncio.to_thread(passwords.matches, password, kept)
        if user is None or not known:
            raise AuthError(400, "invalid_credentials", "Invalid login credentials")
        if user.email_confirmed_at is None:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        return await self._signed_in(user.id, "password")

    async def refresh(self, token: object) -> dict[str, Any]:
        """The same session with new tokens."""
        if not isinstance(token, str) or not token:
            raise errors.invalid("refresh_token required")
        async with self.pool.connection() as connection:
            session = await sessions.refreshed(connection, _plain(token))
            user = await users.by_id(connection, session.user_id)
        if user is None:
            raise AuthError(400, "user_not_found", "Invalid Refresh Token: User Not Found")
        return self._answer(user, session, "password")

    async def user_of(self, identity: Identity) -> User:
        """The user whom a token names, whose session has to be open still."""
        try:
            user_id = uuid.UUID(str(identity.claims["sub"]))
        except KeyError as exc:
            raise errors.bad_token("invalid claim: missing sub claim") from exc
        except ValueError as exc:
            raise errors.bad_token("invalid claim: sub claim must be a UUID") from exc
        session = identity.claims.get("session_id")
        async with self.pool.connection() as connection:
            user = await users.by_id(connection, user_id)
            if user is None:
                message = "User from sub claim in JWT does not exist"
                raise AuthError(403, "user_not_found", message)
            if session is not None and not await sessions.is_open(connection, str(session)):
                message = "Session from session_id claim in JWT does not exist"
                raise AuthError(403, "session_not_found", message)
        return user

    async def change(self, user: User, wish: Mapping[str, Any]) -> User:
        """What users may change about themselves."""
        password = wish.get("password")
        if isinstance(password, str) and await asyncio.to_thread(
            passwords.matches, password, user.encrypted_password
        ):
            message = "New password should be different from the old password."
            raise AuthError(422, "same_password", message)
        given = {**_only(wish, "email", "password"), "user_metadata": wish.get("data")}
        return await self.update(user.id, given)

    async def sign_out(self, user: User, identity: Identity, scope: Scope) -> None:
        """End the sessions that `scope` says."""
        session = str(identity.claims.get("session_id", ""))
        async with self.pool.connection() as connection:
            await sessions.end(connection, user.id, session, scope)

    async def create(self, wish: Mapping[str, Any]) -> User:
        """A user made by an administrator."""
        message = "A user with this email address has already been registered"
        return await self._create(wish, AuthError(422, "email_exists", message))

    async def update(self, user_id: uuid.UUID, wish: Mapping[str, Any]) -> User:
        """A user changed."""
        email, password = _email(wish), _password(wish)
        hashed = None if password is None else await asyncio.to_thread(passwords.hashed, password)
        try:
            async with self.pool.connection() as connection:
                changed = await users.update(
                    connection,
                    user_id,
                    email=email,
                    password=hashed,
                    confirmed=wish.get("email_confirm") is True,
                    user_metadata=_document(wish, "user_metadata"),
                    app_metadata=_document(wish, "app_metadata"),
                )
        except users.EmailTaken as exc:
            message = "A user with this email address has already been registered"
            raise AuthError(422, "email_exists", message) from exc
        return _found(changed)

    async def get(self, user_id: uuid.UUID) -> User:
        async with self.pool.connection() as connection:
            return _found(await users.by_id(connection, user_id))

    async def page(self, number: int, size: int) -> tuple[list[User], int]:
        async with self.pool.connection() as connection:
            return await users.page(connection, number, size)

    async def delete(self, user_id: uuid.UUID) -> None:
        async with self.pool.connection() as connection:
            if not await users.delete(connection, user_id):
                _found(None)

    async def _create(self, wish: Mapping[str, Any], taken: AuthError) -> User:
        email, password = _email(wish), _password(wish)
        if email is None:
            raise errors.invalid("Cannot create a user without either an email or phone")
        hashed = None if password is None else await asyncio.to_thread(passwords.hashed, password)
        wanted = wish.get("id")
        try:
            async with self.pool.connection() as connection:
                return await users.create(
                    connection,
                    email=email,
                    password=hashed,
                    confirmed=wish.get("email_confirm") is True,
                    user_metadata=_document(wish, "user_metadata"),
                    app_metadata=_document(wish, "app_metadata"),
                    user_id=None if wanted is None else user_id(wanted),
                    role=_plain(str(wish.get("role") or "authenticated")),
                )
        except users.EmailTaken as exc:
            raise taken from exc

    async def _signed_in(self, user_id: uuid.UUID, method: str) -> dict[str, Any]:
        async with self.pool.connection() as connection:
            session = await sessions.start(connection, user_id)
            user = _found(await users.by_id(connection, user_id))
        return self._answer(user, session, method)

    def _answer(self, user: User, session: Session, method: str) -> dict[str, Any]:
        now = int(self.keys.clock())
        token = self.keys.mint(
            user.role or "authenticated",
            subject=str(user.id),
            seconds=SECONDS,
            iss=self.issuer,
            email=user.email or "",
            phone=user.phone or "",
            app_metadata=user.app_metadata,
            user_metadata=user.user_metadata,
            aal="aal1",
            amr=[{"method": method, "timestamp": now}],
            session_id=str(session.id),
            is_anonymous=user.is_anonymous,
        )
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": SECONDS,
            "expires_at": now + SECONDS,
            "refresh_token": session.refresh_token,
            "user": user.shown(),
            "weak_password": None,
        }


def user_id(text: object) -> uuid.UUID:
    """The id in `text`.

    Raises:
        AuthError: It is none.
    """
    try:
        return uuid.UUID(str(text))
    except ValueError as exc:
        raise errors.invalid("user_id must be an UUID", 404) from exc


def _found(user: User | None) -> User:
    if user is None:
        raise AuthError(404, "user_not_found", "User not found")
    return user


def _only(wish: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: wish[name] for name in names if name in wish}


def _email(wish: Mapping[str, Any]) -> str | None:
    email = wish.get("email")
    if email is None or email == "":
        return None
    if not isinstance(email, str) or len(email) > 255 or not EMAIL.fullmatch(_plain(email)):
        raise errors.invalid("Unable to validate email address: invalid format")
    return email


def _password(wish: Mapping[str, Any]) -> str | None:
    password = wish.get("password")
    if password is None:
        return None
    if not isinstance(password, str) or len(password) < passwords.LEAST_LENGTH:
        raise errors.weak_password(passwords.LEAST_LENGTH)
    return password


def _document(wish: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    document = wish.get(name) or {}
    if not isinstance(document, dict):
        raise errors.bad_json()
    return document


def _plain(text: str) -> str:
    """Text that PostgreSQL can take: a NUL or half a surrogate pair matches nothing there."""
    return text.encode("utf-8", errors="replace").decode().replace("\0", "\ufffd")
