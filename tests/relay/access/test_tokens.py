"""Which tokens are good: every defect by itself, with keys made here."""

import base64
import json
import secrets
import time
from typing import Any, cast

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from relay.access.tokens import (
    BadToken,
    Claims,
    Key,
    NotCurrent,
    Rules,
    UnknownKey,
    published,
    shared,
    verify,
)

SECRET = secrets.token_urlsafe(40)
NOW = 1_800_000_000
RULES = Rules(issuer="https://project.example/auth/v1")
EC_PAIR = ec.generate_private_key(ec.SECP256R1())
RSA_PAIR = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_JWK: dict[str, Any] = {**ECAlgorithm.to_jwk(EC_PAIR.public_key(), as_dict=True), "kid": "ec"}
RSA_JWK: dict[str, Any] = {**RSAAlgorithm.to_jwk(RSA_PAIR.public_key(), as_dict=True), "kid": "rsa"}
KEYS = (shared(SECRET), *published({"keys": [EC_JWK, RSA_JWK]}))
GOOD: dict[str, Any] = {
    "iss": RULES.issuer,
    "aud": "authenticated",
    "exp": NOW + 600,
    "iat": NOW - 5,
    "sub": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
    "session_id": "0b3f3d44-0a6e-4e4e-8a0e-3d9f5d3c1c11",
    "role": "authenticated",
    "app_metadata": {"tenant": "north"},
    "user_metadata": {"tenant": "everything"},
}


def hs256(claims: dict[str, Any], secret: str = SECRET) -> str:
    return jwt.encode(claims, secret, "HS256")


def es256(claims: dict[str, Any], kid: str | None = "ec") -> str:
    return jwt.encode(claims, EC_PAIR, "ES256", headers={} if kid is None else {"kid": kid})


def forged(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def refused(token: str, keys: tuple[Key, ...] = KEYS, now: float = NOW) -> str:
    with pytest.raises(BadToken) as refusal:
        verify(token, keys, RULES, now)
    return str(refusal.value)


@pytest.mark.parametrize(
    "token",
    [hs256(GOOD), es256(GOOD), jwt.encode(GOOD, RSA_PAIR, "RS256", headers={"kid": "rsa"})],
    ids=["HS256", "ES256", "RS256"],
)
def test_a_token_that_was_signed_by_a_key_of_the_project_says_who_holds_it(token: str) -> None:
    assert verify(token, KEYS, RULES, NOW) == Claims(
        role="authenticated",
        expires=NOW + 600,
        user="7c9e6679-7425-40de-944b-e07fc1f90ae7",
        session="0b3f3d44-0a6e-4e4e-8a0e-3d9f5d3c1c11",
        metadata={"tenant": "north"},
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"exp": None}, "does not say when it expires"),
        ({"exp": NOW - 30}, "has expired"),
        ({"exp": "soon"}, "exp of the token is no time"),
        ({"exp": True}, "exp of the token is no time"),
        ({"exp": 1e300}, "exp of the token is no time"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"iat": NOW + 31}, "not valid yet"),
        ({"iss": "https://other.example/auth/v1"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "somebody"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": ["somebody", "else"]}, "another audience"),
        ({"role": None}, "names no role"),
        ({"role": ""}, "names no role"),
        ({"role": ["authenticated"]}, "names no role"),
    ],
)
def test_each_wrong_claim_is_refused(changed: dict[str, Any], said: str) -> None:
    claims = {name: value for name, value in (GOOD | changed).items() if value is not None}
    # Encoded by hand: the library refuses to write some of these.
    signed = forged({"alg": "HS256"}, claims)
    body = signed.rpartition(".")[0]
    signature = (
        jwt.api_jws.PyJWS().get_algorithm_by_name("HS256").sign(body.encode(), SECRET.encode())
    )
    token = f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert said in refused(token)


@pytest.mark.parametrize("skewed", [{"exp": NOW - 29}, {"nbf": NOW + 29}, {"iat": NOW + 29}])
def test_clocks_may_differ_by_less_than_half_a_minute(skewed: dict[str, Any]) -> None:
    assert verify(hs256(GOOD | skewed), KEYS, RULES, NOW).role == "authenticated"


def test_an_audience_may_be_one_of_several() -> None:
    assert verify(hs256(GOOD | {"aud": ["x", "authenticated"]}), KEYS, RULES, NOW).user


def test_the_wrong_secret_and_the_wrong_pair_are_refused() -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert "signature" in refused(hs256(GOOD, "another-secret-of-thirty-two-bytes-length"))
    assert "signature" in refused(jwt.encode(GOOD, stranger, "ES256", headers={"kid": "ec"}))


@pytest.mark.parametrize("name", ["none", "NONE", "HS512", "ES512", "", None, 7], ids=repr)
def test_an_algorithm_that_is_not_configured_is_refused(name: object) -> None:
    assert refused(forged({"alg": name, "kid": "ec"}, GOOD))


def test_a_public_key_is_no_secret() -> None:
    pem = EC_PAIR.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = forged({"alg": "HS256", "kid": "ec"}, GOOD).rpartition(".")[0]
    signature = jwt.api_jws.PyJWS().get_algorithm_by_name("HS256").sign(body.encode(), pem)
    token = f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert refused(token)
    assert refused(token, published({"keys": [EC_JWK, RSA_JWK]}))


def test_the_shared_secret_counts_only_where_it_is_configured() -> None:
    assert "not accepted" in refused(hs256(GOOD), published({"keys": [EC_JWK]}))


def test_a_key_that_is_not_known_may_become_known() -> None:
    with pytest.raises(UnknownKey):
        verify(es256(GOOD, "new"), KEYS, RULES, NOW)
    assert verify(es256(GOOD, None), KEYS, RULES, NOW).role == "authenticated"


def test_neither_a_key_nor_a_token_has_to_name_the_key() -> None:
    nameless = published({"keys": [{n: value for n, value in EC_JWK.items() if n != "kid"}]})
    assert len(nameless) == 1
    for kid in ("ec", None):
        assert verify(es256(GOOD, kid), nameless, RULES, NOW).role == "authenticated"
    # After a rotation only a fresh list can tell whether such a token is good.
    stranger = ec.generate_private_key(ec.SECP256R1())
    for headers in ({}, {"kid": "new"}):
        for keys in (nameless, KEYS, ()):
            with pytest.raises(UnknownKey):
                verify(jwt.encode(GOOD, stranger, "ES256", headers=headers), keys, RULES, NOW)


def test_only_the_time_of_a_token_can_be_mended_by_another_one() -> None:
    for changed in ({"exp": NOW - 60}, {"nbf": NOW + 60}, {"iat": NOW + 60}):
        with pytest.raises(NotCurrent):
            verify(hs256(GOOD | changed), KEYS, RULES, NOW)
        for wrong in ({"iss": "https://other.example"}, {"aud": "somebody"}, {"role": ""}):
            with pytest.raises(BadToken) as refusal:
                verify(hs256(GOOD | changed | wrong), KEYS, RULES, NOW)
            assert not isinstance(refusal.value, NotCurrent)


def test_a_key_goes_with_its_own_algorithm() -> None:
    assert refused(jwt.encode(GOOD, RSA_PAIR, "RS256", headers={"kid": "ec"}))


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "a.b.c", "..", "é.é.é", "e30.e30.", "[" * 5000, "x" * 16384]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refused(token)


def test_a_token_over_8_kib_is_refused_unread() -> None:
    assert "longer than 8192 bytes" in refused(hs256(GOOD | {"filler": "x" * 16384}))


@pytest.mark.parametrize("metadata", [None, "text", ["list"], 5])
def test_app_metadata_that_is_no_object_counts_as_none(metadata: object) -> None:
    claims = verify(hs256(GOOD | {"app_metadata": metadata}), KEYS, RULES, NOW)
    assert claims.metadata == {}


def test_keys_for_other_uses_or_of_other_kinds_are_left_out() -> None:
    odd = [
        EC_JWK | {"use": "enc"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
        {**EC_JWK, "crv": "P-521"},
        {"kty": "EC", "crv": "P-256", "kid": "half"},
        EC_JWK | {"kid": 7},
        "text",
        None,
    ]
    assert published({"keys": odd}) == ()
    assert published({}) == published({"keys": cast(list[Any], 5)}) == ()


def test_no_key_shows_in_a_repr() -> None:
    assert SECRET not in repr(shared(SECRET))


def test_the_time_of_the_check_is_the_callers() -> None:
    assert "expired" in refused(hs256(GOOD | {"exp": int(time.time()) + 60}), now=NOW * 2)
