"""The place to resume from, as a signed text that any relay with the same key understands."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from relay.changes.filters import Filter
from relay.changes.records import encode
from relay.changes.snapshot import Snapshot

MAX_BYTES: Final = 4096
NOWHERE: Final = -1  # the seq of cursors that name none
_VERSION: Final = 2
_WITHOUT_SEQ: Final = 1  # the version before
_SIGNATURE_BYTES: Final = 24


class InvalidCursor(Exception):
    """The text was not signed with this key, or is no cursor."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything that `snapshot` shows of the endpoint's rows has been delivered.

    `filter` is what `bound` makes of it, `issued` the time in seconds since 1970. To the relay
    whose `instance` it is `seq` says the same of the endpoint's stream, exactly.
    """

    snapshot: Snapshot
    epoch: str
    instance: str
    beat: int
    endpoint: str
    filter: str
    issued: int
    seq: int = NOWHERE


class Signer:
    """Writes and reads cursors with one key."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"hotspot-relay cursor", hashlib.sha256)

    def sign(self, cursor: Cursor) -> str:
        """The cursor as text; where that would be longer than 4 KB, one that covers less."""
        text = self._text(cursor, cursor.snapshot)
        most_running = len(cursor.snapshot.running)
        while len(text) > MAX_BYTES:
            most_running //= 2
            text = self._text(cursor, cursor.snapshot.narrowed(most_running))
        return text

    def read(self, text: str) -> Cursor:
        """The cursor that was signed.

        Raises:
            InvalidCursor: the text was not signed with this key, or is no cursor.
        """
        body, _, signature = text.partition(".")
        if len(text) > MAX_BYTES or not hmac.compare_digest(
            signature.encode(errors="replace"), self._signature(body).encode()
        ):
            raise InvalidCursor
        try:
            version, snapshot, *rest = _parse(body)
            if len(rest) != {_VERSION: 7, _WITHOUT_SEQ: 6}.get(version):
                raise InvalidCursor
            return Cursor(Snapshot.parse(snapshot), *rest)
        except (ValueError, TypeError, binascii.Error) as error:
            raise InvalidCursor from error

    def _text(self, cursor: Cursor, snapshot: Snapshot) -> str:
        body = _base64(
            encode(
                [
                    _VERSION,
                    str(snapshot),
                    cursor.epoch,
                    cursor.instance,
                    cursor.beat,
                    cursor.endpoint,
                    cursor.filter,
                    cursor.issued,
                    cursor.seq,
                ]
            ).encode()
        )
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode(errors="replace"), hashlib.sha256)
        return _base64(digest[:_SIGNATURE_BYTES])


def bound(wanted: Filter) -> str:
    """A short name of the filter; that of another filter is another one."""
    if wanted.is_everything:
        return ""
    named = [wanted.terms] if wanted.scope is None else [wanted.terms, wanted.scope]
    return _base64(hashlib.sha256(encode(named).encode()).digest()[:12])


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _parse(body: str) -> list[Any]:
    parsed: list[Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return parsed
