"""What the check of a token costs: `python -m bench.token_check`, which measures in this process.

Every token is another user's and is checked once, by the relay's own function, as it is when its
bearer connects. Prints microseconds of processor time by algorithm, as a line of JSON.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from relay.access.tokens import Key, Rules, published, shared, verify

TOKENS: Final = 1000
WARM_UP: Final = 50
ISSUER: Final = "http://127.0.0.1/auth/v1"
SHARED_KEY: Final = "the secret of a project that signs with one for all"
KEY_ID: Final = "bench"
LIFE_SECONDS: Final = 3600


def measured(count: int = TOKENS) -> dict[str, float]:
    """Microseconds for one check, by algorithm.

    Raises:
        BadToken: A token is not accepted.
    """
    elliptic = ec.generate_private_key(ec.SECP256R1())
    rivest = rsa.generate_private_key(65537, 2048)
    signers: dict[str, tuple[Any, Key]] = {
        "HS256": (SHARED_KEY, shared(SHARED_KEY)),
        "ES256": (elliptic, _public(ECAlgorithm.to_jwk(elliptic.public_key()))),
        "RS256": (rivest, _public(RSAAlgorithm.to_jwk(rivest.public_key()))),
    }
    return {
        algorithm: _check(_tokens(algorithm, signs, count + WARM_UP), key)
        for algorithm, (signs, key) in signers.items()
    }


def _public(jwk: str) -> Key:
    (key,) = published({"keys": [json.loads(jwk) | {"kid": KEY_ID}]})
    return key


def _tokens(algorithm: str, signs: Any, count: int) -> list[str]:
    now = int(time.time())
    claims: dict[str, object] = {"role": "authenticated", "aud": "authenticated", "iss": ISSUER}
    claims |= {"iat": now, "exp": now + LIFE_SECONDS}
    return [
        jwt.encode(claims | {"sub": f"user-{number}"}, signs, algorithm, headers={"kid": KEY_ID})
        for number in range(count)
    ]


def _check(tokens: list[str], key: Key) -> float:
    keys, rules, now = (key,), Rules(ISSUER), time.time()
    for token in tokens[:WARM_UP]:
        verify(token, keys, rules, now)
    began = time.process_time_ns()
    for token in tokens[WARM_UP:]:
        verify(token, keys, rules, now)
    return (time.process_time_ns() - began) / 1000 / (len(tokens) - WARM_UP)


if __name__ == "__main__":
    print(json.dumps(measured()))
