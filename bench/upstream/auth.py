"""The stand-in's signing key: tokens of users, and the public half for who checks them."""

from __future__ import annotations

import json
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY_ID = "bench"
TOKEN_SECONDS = 3600


class Auth:
    """Signs with ES256, as projects of today do; `GET /token` is for the benchmark."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def routes(self) -> list[Route]:
        """The public key, and tokens."""
        return [
            Route("/auth/v1/.well-known/jwks.json", self._jwks),
            Route("/token", self._token),
        ]

    async def _jwks(self, request: Request) -> Response:
        public = json.loads(ECAlgorithm.to_jwk(self._key.public_key()))
        return JSONResponse({"keys": [public | {"kid": KEY_ID, "alg": "ES256", "use": "sig"}]})

    async def _token(self, request: Request) -> Response:
        now = int(time.time())
        claims = {"role": "authenticated", "aud": "authenticated", "sub": "somebody", "iat": now}
        issuer = f"{request.base_url}auth/v1"
        claims |= {"iss": issuer, "exp": now + TOKEN_SECONDS}
        return JSONResponse(
            jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": KEY_ID})
        )
