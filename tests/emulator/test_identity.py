"""API keys and tokens: who is let in as whom."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from emulator import keys_file
from emulator.identity import InvalidToken, Keys
from emulator.signing import SigningKeys, UnknownKey

NOW = 1_800_000_000
USER = "7f9c24e8-3b12-4f6a-9d5e-0a1b2c3d4e5f"


@pytest.fixture(scope="module")
def keys() -> Keys:
    return replace(Keys.generate(), clock=lambda: float(NOW))


def hs256(keys: Keys, **claims: object) -> str:
    return jwt.encode(claims, keys.jwt_secret, algorithm="HS256")


def test_sb_keys_stand_for_their_roles(keys: Keys) -> None:
    assert keys.publishable.startswith("sb_publishable_")
    assert keys.secret.startswith("sb_secret_")
    assert keys.identify(keys.publishable).role == "anon"
    assert keys.identify(keys.secret).role == "service_role"


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_legacy_keys_are_hs256_tokens_of_their_role(keys: Keys, role: str) -> None:
    key = keys.legacy_key("anon" if role == "anon" else "service_role")
    assert jwt.get_unverified_header(key)["alg"] == "HS256"
    assert keys.identify(key).role == role


def test_minted_token_carries_subject_lifetime_and_further_claims(keys: Keys) -> None:
    token = keys.mint("authenticated", subject=USER, seconds=60, email="a@example.org")
    assert keys.identify(token).claims == {
        "aud": "authenticated",
        "role": "authenticated",
        "iat": NOW,
        "exp": NOW + 60,
        "sub": USER,
        "email": "a@example.org",
    }


def test_minted_token_verifies_against_the_published_key(keys: Keys) -> None:
    token = keys.mint("authenticated", subject=USER, exp=4_000_000_000, iat=1)
    (published,) = keys.jwks()["keys"]
    assert "d" not in published, "the private number of the key"
    assert jwt.get_unverified_header(token)["kid"] == published["kid"]
    claims = jwt.decode(token, jwt.PyJWK(published), algorithms=["ES256"], audience="authenticated")
    assert claims["sub"] == USER


def test_hs256_token_of_the_shared_secret_is_accepted(keys: Keys) -> None:
    identity = keys.identify(hs256(keys, role="authenticated", sub=USER, exp=NOW + 1))
    assert identity.claims["sub"] == USER


def test_token_is_refused_from_the_second_of_its_expiry_on(keys: Keys) -> None:
    with pytest.raises(InvalidToken, match=r"^Token has expired$") as refusal:
        keys.identify(hs256(keys, role="authenticated", exp=NOW - 7))
    assert (refusal.value.reason, refusal.value.expired_seconds) == ("expired", 7)
    with pytest.raises(InvalidToken):
        keys.identify(hs256(keys, role="authenticated", exp=NOW))


def test_token_is_refused_before_its_time(keys: Keys) -> None:
    with pytest.raises(InvalidToken) as refusal:
        keys.identify(hs256(keys, role="authenticated", exp=NOW + 9, nbf=NOW + 5))
    assert refusal.value.reason == "early"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW + 9},
        {"role": "authenticated"},
        {"role": "", "exp": NOW + 9},
        {"role": 7, "exp": NOW + 9},
    ],
)
def test_role_and_expiry_are_required(keys: Keys, claims: dict[str, object]) -> None:
    with pytest.raises(InvalidToken, match=r"^Fields `role` and `exp` are required in JWT$"):
        keys.identify(hs256(keys, **claims))


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "sb_secret_guess", "schlüssel"])
def test_text_that_is_no_token_is_refused(keys: Keys, token: str) -> None:
    with pytest.raises(InvalidToken, match="not a valid JWT"):
        keys.identify(token)


def test_another_projects_tokens_are_refused(keys: Keys) -> None:
    stranger = Keys.generate()
    for token in (stranger.mint("service_role"), stranger.legacy_key("service_role")):
        with pytest.raises(InvalidToken, match="Failed to validate JWT signature"):
            keys.identify(token)
    with pytest.raises(InvalidToken):
        keys.identify(stranger.secret)


def test_the_token_does_not_choose_how_it_is_verified(keys: Keys) -> None:
    """Neither `none`, nor another HMAC, nor the public key used as an HMAC secret."""
    claims = {"role": "service_role", "exp": NOW + 60}
    unsigned = jwt.encode(claims, "", algorithm="none")
    longer_hash = jwt.encode(claims, keys.jwt_secret + "x" * 64, algorithm="HS512")
    header = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    public = json.dumps(keys.jwks()["keys"][0]).encode()
    signature = hmac.digest(public, f"{header}.{body}".encode(), "sha256")
    confused = f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    for token in (unsigned, longer_hash, confused):
        with pytest.raises(InvalidToken):
            keys.identify(token)


def test_secrets_do_not_show_in_repr(keys: Keys) -> None:
    shown = repr(keys)
    private = keys.signing.current.private
    for secret in (keys.secret, keys.jwt_secret, private, keys.database_password):
        assert secret not in shown


def test_keys_survive_in_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    made = keys_file.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys_file.load_or_create(path) == made == keys_file.load(path)
    assert keys_file.load(path).signing.listed == made.signing.listed
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


def test_a_file_without_keys_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"publishable": "x"}')
    with pytest.raises(keys_file.KeysUnreadable, match=r"keys\.json holds no keys"):
        keys_file.load(path)


def test_after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies(keys: Keys) -> None:
    rotated = replace(keys, signing=SigningKeys(keys.signing.listed))
    before = rotated.mint("authenticated", subject=USER)
    former, fresh = rotated.signing.current, rotated.signing.rotate()
    after = rotated.mint("authenticated", subject=USER)
    assert [key["kid"] for key in rotated.jwks()["keys"]] == [fresh.id, former.id]
    assert jwt.get_unverified_header(after)["kid"] == fresh.id != former.id
    assert rotated.identify(before) == rotated.identify(after)
    nameless = jwt.encode({"role": "anon", "exp": NOW + 9}, former.pair, algorithm="ES256")
    assert rotated.identify(nameless).role == "anon"
    rotated.signing.revoke(former.id)
    for token in (before, nameless):
        with pytest.raises(InvalidToken, match="Failed to validate JWT signature"):
            rotated.identify(token)
    assert rotated.identify(after).role == "authenticated"
    with pytest.raises(UnknownKey, match="rotate first"):
        rotated.signing.revoke(fresh.id)
    with pytest.raises(UnknownKey, match="no signing key"):
        rotated.signing.revoke(former.id)


def test_a_token_cannot_borrow_the_name_of_another_key(keys: Keys) -> None:
    rotated = replace(keys, signing=SigningKeys(keys.signing.listed))
    former, fresh = rotated.signing.current, rotated.signing.rotate()
    claims = {"role": "service_role", "exp": NOW + 60}
    for name in (fresh.id, "another"):
        forged = jwt.api_jws.encode(
            json.dumps(claims).encode(), former.pair, algorithm="ES256", headers={"kid": name}
        )
        with pytest.raises(InvalidToken, match="Failed to validate JWT signature"):
            rotated.identify(forged)


def test_a_rotation_in_the_file_reaches_who_has_read_it_before(tmp_path: Path) -> None:
    running = keys_file.load_or_create(tmp_path / "keys.json")
    token = running.mint("authenticated", subject=USER)
    other = keys_file.load(tmp_path / "keys.json")
    fresh = other.signing.rotate()
    assert running.signing.current == fresh
    assert running.identify(token).claims["sub"] == USER
    assert other == running, "the other keys stay"
    running.signing.revoke(other.signing.listed[1].id)
    with pytest.raises(InvalidToken):
        other.identify(token)
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
