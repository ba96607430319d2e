"""Users as rows and as the JSON that clients get."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

COLUMNS: LiteralString = (
    "id, aud, role, email, phone, encrypted_password, email_confirmed_at, last_sign_in_at,"
    " coalesce(raw_app_meta_data, '{}') as app_metadata,"
    " coalesce(raw_user_meta_data, '{}') as user_metadata, created_at, updated_at, is_anonymous"
)
Connection = psycopg.AsyncConnection[Any]


class EmailTaken(Exception):
    """Another user has the address."""


@dataclass(frozen=True, kw_only=True)
class User:
    """One row of auth.users."""

    id: uuid.UUID
    aud: str | None
    role: str | None
    email: str | None
    phone: str | None
    encrypted_password: str | None
    email_confirmed_at: datetime | None
    last_sign_in_at: datetime | None
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any]
    created_at: datetime | None
    updated_at: datetime | None
    is_anonymous: bool

    def shown(self) -> dict[str, Any]:
        """The user as clients see it."""
        dates = {
            "last_sign_in_at": self.last_sign_in_at,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }
        stamps = {name: _stamp(date) for name, date in dates.items() if date is not None}
        confirmed = {}
        if self.email_confirmed_at is not None:
            confirmed = {"email_confirmed_at": _stamp(self.email_confirmed_at)}
            confirmed["confirmed_at"] = confirmed["email_confirmed_at"]
        return {
            "id": str(self.id),
            "aud": self.aud or "",
            "role": self.role or "",
            "email": self.email or "",
            "phone": self.phone or "",
            **confirmed,
            "app_metadata": self.app_metadata,
            "user_metadata": self.user_metadata,
            "identities": [self._identity(stamps)] if self.email else [],
            **stamps,
            "is_anonymous": self.is_anonymous,
        }

    def _identity(self, stamps: Mapping[str, str]) -> dict[str, Any]:
        return {
            "identity_id": str(uuid.uuid5(self.id, "email")),
            "id": str(self.id),
            "user_id": str(self.id),
            "identity_data": {
                "email": self.email,
                "email_verified": False,
                "phone_verified": False,
                "sub": str(self.id),
            },
            "provider": "email",
            **stamps,
            "email": self.email,
        }


def _stamp(date: datetime) -> str:
    return date.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def by_id(connection: Connection, user_id: uuid.UUID) -> User | None:
    return await _one(connection, "select " + COLUMNS + " from auth.users where id = %s", user_id)


async def by_email(connection: Connection, email: str) -> User | None:
    query: LiteralString = "select " + COLUMNS + " from auth.users where email = %s"
    return await _one(connection, query, normal(email))


async def page(connection: Connection, number: int, size: int) -> tuple[list[User], int]:
    """The users of one page, the newest first, and how many there are in all."""
    cursor = connection.cursor(row_factory=class_row(User))
    query: LiteralString = "select " + COLUMNS + " from auth.users order by created_at desc, id"
    await cursor.execute(query + " limit %s offset %s", (size, (number - 1) * size))
    counted = await connection.execute("select count(*) from auth.users")
    ((total,),) = await counted.fetchall()
    return await cursor.fetchall(), total


async def create(
    connection: Connection,
    *,
    email: str,
    password: str | None,
    confirmed: bool,
    user_metadata: Mapping[str, Any],
    app_metadata: Mapping[str, Any],
    user_id: uuid.UUID | None = None,
    role: str = "authenticated",
) -> User:
    """A new user with that hash of a password. Raises EmailTaken."""
    query: LiteralString = """
        insert into auth.users (instance_id, id, aud, role, email, encrypted_password,
          email_confirmed_at, raw_app_meta_data, raw_user_meta_data)
        values ('00000000-0000-0000-0000-000000000000', %s, 'authenticated', %s, %s, %s,
          case when %s then now() end, %s, %s) returning """
    provider = {"provider": "email", "providers": ["email"]}
    identity = user_id or uuid.uuid4()
    parameters = (identity, role, normal(email), password, confirmed)
    documents = (Jsonb({**provider, **app_metadata}), Jsonb(dict(user_metadata)))
    try:
        created = await _one(connection, query + COLUMNS, *parameters, *documents)
    except psycopg.errors.UniqueViolation as exc:
        raise EmailTaken from exc
    assert created is not None, "insert returns its row"  # noqa: S101
    return created


async def update(
    connection: Connection,
    user_id: uuid.UUID,
    *,
    email: str | None = None,
    password: str | None = None,
    confirmed: bool = False,
    user_metadata: Mapping[str, Any] | None = None,
    app_metadata: Mapping[str, Any] | None = None,
) -> User | None:
    """The user with what is given here; metadata is added to what there is. Raises EmailTaken."""
    query: LiteralString = """
        update auth.users set email = coalesce(%s, email),
          encrypted_password = coalesce(%s, encrypted_password),
          email_confirmed_at = case when %s then coalesce(email_confirmed_at, now())
            else email_confirmed_at end,
          raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || %s,
          raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || %s,
          updated_at = clock_timestamp()
        where id = %s returning """
    documents = (Jsonb(dict(user_metadata or {})), Jsonb(dict(app_metadata or {})))
    address = None if email is None else normal(email)
    try:
        return await _one(
            connection, query + COLUMNS, address, password, confirmed, *documents, user_id
        )
    except psycopg.errors.UniqueViolation as exc:
        raise EmailTaken from exc


async def delete(connection: Connection, user_id: uuid.UUID) -> bool:
    """Remove the user with all sessions; whether there was one."""
    cursor = await connection.execute("delete from auth.users where id = %s", (user_id,))
    return cursor.rowcount > 0


def normal(email: str) -> str:
    """Normalise an address, as it is stored and looked up."""
    return email.strip().lower()


async def _one(connection: Connection, query: LiteralString, *parameters: object) -> User | None:
    cursor = connection.cursor(row_factory=class_row(User))
    await cursor.execute(query, parameters)
    return await cursor.fetchone()
