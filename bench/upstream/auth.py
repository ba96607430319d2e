"""The stand-in's signing keys: tokens of users, and the public half for who checks them."""

from __future__ import annotations

import json
import time
from typing import Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Algorithm = Literal["ES256", "HS256"]

KEY_ID = "bench"
SHARED_KEY = "the secret of a project that signs with one for all"
TOKEN_SECONDS = 3600


class Auth:
    """Signs with ES256, as projects of today do, or with HS256, as older ones.

    `GET /tokens` is for the benchmark: one token for each of `users`, signed by `algorithm`.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def routes(self) -> list[Route]:
        """The public key, and tokens."""
        return [
            Route("/auth/v1/.well-known/jwks.json", self._jwks),
            Route("/tokens", self._tokens),
        ]

    async def _jwks(self, request: Request) -> Response:
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        return JSONResponse({"keys": [public | {"kid": KEY_ID, "alg": "ES256", "use": "sig"}]})

    async def _tokens(self, request: Request) -> Response:
        now, asked = int(time.time()), request.query_params
        claims = {"role": "authenticated", "aud": "authenticated", "iat": now}
        claims |= {"iss": f"{request.base_url}auth/v1", "exp": now + TOKEN_SECONDS}
        users = (f"user-{number}" for number in range(int(asked["users"])))
        algorithm: Algorithm = "HS256" if asked["algorithm"] == "HS256" else "ES256"
        return JSONResponse([self._signed(claims | {"sub": user}, algorithm) for user in users])

    def _signed(self, claims: dict[str, object], algorithm: Algorithm) -> str:
        if algorithm == "HS256":
            return jwt.encode(claims, SHARED_KEY, algorithm="HS256")
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": KEY_ID})
