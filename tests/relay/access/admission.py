"""Tokens of every kind with every defect, and every way to bring them."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from emulator.identity import Algorithm, Keys
from emulator.running import Emulator

USER: Final = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
KINDS: Final[tuple[Algorithm, ...]] = ("HS256", "ES256")
Defect = Callable[[Emulator, Algorithm], str | None]


def token_of(emulator: Emulator, kind: Algorithm = "ES256", **claims: Any) -> str:
    """A good token, but for what the claims change."""
    said = {"iss": f"{emulator.url}/auth/v1", "session_id": "session-1"} | claims
    subject = said.pop("sub", USER)
    role = said.pop("role", "authenticated")
    return emulator.keys.mint(role, subject=subject, algorithm=kind, **said)


def changed(**claims: Any) -> Defect:
    """Other claims."""
    return lambda emulator, kind: token_of(emulator, kind, **claims)


def in_time(**offsets: int) -> Defect:
    """Times so many seconds from now."""

    def make(emulator: Emulator, kind: Algorithm) -> str:
        now = int(time.time())
        return token_of(emulator, kind, **{name: now + off for name, off in offsets.items()})

    return make


def of_others(emulator: Emulator, kind: Algorithm) -> str:
    """Signed with keys of another project, under the name of ours."""
    stranger = Keys.generate()
    claims = jwt.decode(token_of(emulator, kind), options={"verify_signature": False})
    if kind == "HS256":
        return jwt.encode(claims, stranger.jwt_secret, "HS256")
    kid = emulator.keys.signing.current.id
    return jwt.encode(claims, stranger.signing.current.pair, "ES256", headers={"kid": kid})


def unknown_key(emulator: Emulator, kind: Algorithm) -> str:
    """Signed with keys of another project, under their own name."""
    stranger = Keys.generate()
    return stranger.mint(
        "authenticated", subject=USER, algorithm=kind, iss=f"{emulator.url}/auth/v1"
    )


def unsigned(emulator: Emulator, kind: Algorithm) -> str:
    """`alg: none`."""
    claims = jwt.decode(token_of(emulator, kind), options={"verify_signature": False})
    return jwt.encode(claims, None, "none")  # type: ignore[arg-type]


def by_public_key(emulator: Emulator, kind: Algorithm) -> str:
    """HS256 with the public key, which everybody has, for a secret."""
    key = emulator.keys.signing.current
    pem = key.pair.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    claims = jwt.decode(token_of(emulator, kind), options={"verify_signature": False})
    parts = [{"alg": "HS256", "typ": "JWT", "kid": key.id}, claims]
    body = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    signature = jwt.get_algorithm_by_name("HS256").sign(body.encode(), pem)
    return f"{body}.{_base64(signature)}"


def without_expiry(emulator: Emulator, kind: Algorithm) -> str:
    """No `exp`."""
    claims = jwt.decode(token_of(emulator, kind), options={"verify_signature": False})
    del claims["exp"]
    if kind == "HS256":
        return jwt.encode(claims, emulator.keys.jwt_secret, "HS256")
    key = emulator.keys.signing.current
    return jwt.encode(claims, key.pair, "ES256", headers={"kid": key.id})


def broken(emulator: Emulator, kind: Algorithm) -> str:
    """A byte of the claims changed after signing."""
    head, body, signature = token_of(emulator, kind).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return f"{head}.{_base64(json.dumps(claims | {'sub': 'else'}).encode())}.{signature}"


BAD: Final[Mapping[str, Defect]] = {
    "none": lambda emulator, kind: None,
    "empty": lambda emulator, kind: "",
    "no JWT": lambda emulator, kind: "not-a-token",
    "publishable key": lambda emulator, kind: emulator.keys.publishable,
    "secret key": lambda emulator, kind: emulator.keys.secret,
    "expired": in_time(exp=-60),
    "not valid yet": in_time(nbf=60, exp=3600),
    "wrong signature": of_others,
    "changed after signing": broken,
    "alg none": unsigned,
    "HS256 with the public key": by_public_key,
    "wrong audience": changed(aud="somebody"),
    "wrong issuer": changed(iss="https://evil.example/auth/v1"),
    "missing exp": without_expiry,
    "unknown kid": unknown_key,
    "16 KiB": changed(filler="x" * 12_000),
    "anon": changed(role="anon"),
    "unknown role": changed(role="nobody"),
    "only user_metadata": changed(role="anon", user_metadata={"role": "authenticated"}),
}
UNTIMELY: Final = frozenset({"expired", "not valid yet"})
"""Those of BAD that another token of the same user may mend."""
REQUEST: Final = '{"type":"token_required"}'
SOURCES: Final = ("first message", "subprotocol", "header", "query")


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def bring(
    host: str, endpoint: str, source: str, token: str | None, *, events: bool = True
) -> connect:
    """A connection that brings the token in that way; a first message has yet to be sent."""
    protocols = ["relay.v1"] if events else []
    headers, query = {}, ""
    if token is not None and source == "subprotocol":
        protocols.append(f"bearer.{token}")
    elif token is not None and source == "header":
        headers = {"Authorization": f"Bearer {token}"}
    elif token is not None and source == "query":
        query = f"?token={token}"
    return connect(
        f"ws://{host}/ws/{endpoint}{query}",
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        additional_headers=headers,
        proxy=None,
    )


async def outcome(client: ClientConnection, source: str, token: str | None) -> tuple[str, int]:
    """What was read before the end, but for the request for a token, and its close code; 0 when
    the connection goes on."""
    read = ""
    try:
        if source == "first message" and token is not None:
            await client.send(json.dumps({"type": "auth", "token": token}))
        while '"synced"' not in read:
            read += str(await client.recv()).replace(REQUEST, "")
    except ConnectionClosed as exc:
        return read, exc.rcvd.code if exc.rcvd else 1006
    return read, 0


async def tried(host: str, endpoint: str, source: str, token: str | None) -> tuple[str, int]:
    """As `outcome`, or the status of the HTTP answer where the upgrade was refused."""
    try:
        async with bring(host, endpoint, source, token) as client:
            return await outcome(client, source, token)
    except InvalidStatus as exc:
        return "", exc.response.status_code
