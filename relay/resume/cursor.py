"""Signed cursors: where a client can resume, readable by every relay that has the same key."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from relay.stream.broker import Broker
from relay.stream.change import encode
from relay.stream.filters import Filter
from relay.stream.snapshot import Seqs, Snapshot
from relay.upstream.heartbeat import Identity

MAX_CURSOR_BYTES: Final = 4096
NOWHERE: Final = -1  # the seq of cursors that name none
_VERSION: Final = 2
_WITHOUT_SEQ: Final = 1  # the version before
_SIGNATURE_BYTES: Final = 24


class InvalidCursor(Exception):
    """The text was not signed with this key, or is no cursor."""


class Cursor(NamedTuple):
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
    """Signs and verifies cursors with one key."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"hotspot-relay cursor", hashlib.sha256)

    def sign(self, cursor: Cursor) -> str:
        """The cursor as text; where that would be longer than 4 KB, one that covers less."""
        text = self._text(cursor, cursor.snapshot)
        most_running = len(cursor.snapshot.running)
        while len(text) > MAX_CURSOR_BYTES:
            most_running //= 2
            text = self._text(cursor, cursor.snapshot.narrowed(most_running))
        return text

    def read(self, text: str) -> Cursor:
        """The cursor that was signed.

        Raises:
            InvalidCursor: The text was not signed with this key, or is no cursor.
        """
        body, _, signature = text.partition(".")
        if len(text) > MAX_CURSOR_BYTES or not hmac.compare_digest(
            signature.encode(errors="replace"), self._signature(body).encode()
        ):
            raise InvalidCursor
        try:
            version, snapshot, *rest = _parse(body)
            if len(rest) != {_VERSION: 7, _WITHOUT_SEQ: 6}.get(version):
                raise InvalidCursor
            return Cursor(Snapshot.parse(snapshot), *rest)
        except (ValueError, TypeError, binascii.Error) as exc:
            raise InvalidCursor from exc

    def _text(self, cursor: Cursor, snapshot: Snapshot) -> str:
        body = _base64(encode([_VERSION, str(snapshot), *cursor[1:]]).encode())
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode(errors="replace"), hashlib.sha256)
        return _base64(digest[:_SIGNATURE_BYTES])


def bound(wanted: Filter) -> str:
    """Return a digest of the filter, which binds a cursor to it."""
    if wanted.is_everything:
        return ""
    named = [wanted.terms] if wanted.scope is None else [wanted.terms, wanted.scope]
    return _base64(hashlib.sha256(encode(named).encode()).digest()[:12])


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _parse(body: str) -> list[Any]:
    parsed: list[Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return parsed


MOST_SIGNED: Final = 1000


class _Moment(NamedTuple):
    """The part of a cursor that is the same for all filters."""

    snapshots: Mapping[int, Snapshot]
    epoch: str
    instance: str
    beat: int
    issued: int
    seqs: Seqs


class Unresumable(Exception):
    """The cursor cannot be resumed; the client gets a reset with this `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class CursorIssuer:
    """Issues cursors as of the last completed catch-up, and verifies presented ones.

    Args:
        secret: Signing key, the same for all relays.
        identity: This process and its confirmed beat.
        broker: Snapshots and epoch.
        clock: Seconds since 1970.
        seconds: How long a cursor is valid.
    """

    def __init__(
        self,
        secret: str,
        identity: Identity,
        broker: Broker,
        *,
        clock: Callable[[], float],
        seconds: float,
    ) -> None:
        self._signer: Final = Signer(secret)
        self._identity: Final = identity
        self._broker: Final = broker
        self._clock: Final = clock
        self._seconds: Final = seconds
        self._signed: dict[Filter, tuple[_Moment, str]] = {}  # many come at the same time

    def cursor(self, wanted: Filter) -> str | None:
        """Return the cursor of a client that is caught up.

        None before the first catch-up and heartbeat."""
        return self.cursors()(wanted)

    def cursors(self) -> Callable[[Filter], str | None]:
        """Return a function that makes the cursor of a filter as of now, also later."""
        here = self._here()
        return lambda wanted: None if here is None else self._cursor(here, wanted)

    def _here(self) -> _Moment | None:
        epoch, sources = self._broker.epoch, self._broker.deduplicators.items()
        if epoch is None or self._identity.beat == 0:
            return None
        return _Moment(
            {number: each.snapshot for number, each in sources if each.snapshot is not None},
            epoch,
            self._identity.instance,
            self._identity.beat,
            int(self._clock()),
            self._broker.hub.seqs(),
        )

    def _cursor(self, here: _Moment, wanted: Filter) -> str:
        signed = self._signed.get(wanted)
        if signed is not None and signed[0] == here:
            return signed[1]
        text = self._signer.sign(
            Cursor(
                snapshot=here.snapshots[wanted.endpoint.number],
                epoch=here.epoch,
                instance=here.instance,
                beat=here.beat,
                endpoint=wanted.endpoint.name,
                filter=bound(wanted),
                issued=here.issued,
                seq=here.seqs[wanted.endpoint.number],
            )
        )
        if len(self._signed) >= MOST_SIGNED:
            self._signed.clear()
        self._signed[wanted] = here, text
        return text

    def read(self, presented: str, wanted: Filter) -> Cursor:
        """The presented cursor, which this relay or another one with the same key handed out for
        that filter.

        Raises:
            Unresumable: It is invalid, a mismatch, or expired.
        """
        try:
            cursor = self._signer.read(presented)
        except InvalidCursor:
            raise Unresumable("invalid") from None
        if (cursor.endpoint, cursor.filter) != (wanted.endpoint.name, bound(wanted)):
            raise Unresumable("mismatch")
        if self._clock() - cursor.issued > self._seconds:
            raise Unresumable("expired")
        return cursor

    def is_own(self, cursor: Cursor) -> bool:
        """Return whether this process issued it, so that its `seq` is meaningful here."""
        return cursor.instance == self._identity.instance and cursor.beat <= self._identity.beat
