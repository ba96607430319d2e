"""The messages of both formats, encoded once for all clients.

`rows` is a bare row and nothing else; `relay.v1` has a type in each message.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from relay.changes.filters import Filter
from relay.changes.records import Change, encode
from relay.changes.wire import framed, framed_bytes, payload_of, text

SUBPROTOCOL: Final = "relay.v1"
HEARTBEAT_SECONDS: Final = 25
_BEFORE_RECORD: Final = b',"record":'
_AFTER_RECORD: Final = b',"old_record":'
PONG: Final = encode({"type": "pong"})
TOKEN_REQUIRED: Final = encode({"type": "token_required"})


def row(change: Change) -> str:
    """A change in the rows format: the row without stamps, or its id and `deleted`."""
    if change.record is None:
        return encode({"id": change.id, "deleted": True})
    return encode(change.record)


def event(change: Change, seq: int) -> str:
    """A change in relay.v1."""
    return with_seq(event_without_seq(change), seq)


def with_seq(event: str, seq: int) -> str:
    """An event of `event_without_seq` and its seq."""
    return f"{event}{seq}}}"


def event_without_seq(change: Change) -> str:
    """A change in relay.v1, up to its seq, which comes last."""
    table = change.endpoint.name
    head = f'"schema":"public","table":"{table}"'
    if change.record is None:
        return (
            f'{{"type":"DELETE",{head},"record":null,"old_record":{{"id":{change.id}}},'
            f'"version":{change.version},"seq":'
        )
    kind, old = ("INSERT", "null") if change.version == 1 else ("UPDATE", f'{{"id":{change.id}}}')
    return (
        f'{{"type":"{kind}",{head},"record":{encode(change.record)},'
        f'"old_record":{old},"version":{change.version},'
        f'"changed_at":{encode(change.changed_at)},"seq":'
    )


def row_of(event: bytes) -> bytes:
    """What clients of bare rows get instead of this event; both framed."""
    payload = payload_of(event)
    # What follows has no text that could hold this: quotes in `changed_at` would be escaped.
    end = payload.rindex(_AFTER_RECORD)
    record = payload[payload.index(_BEFORE_RECORD) + len(_BEFORE_RECORD) : end]
    if record == b"null":
        old_record = payload[end + len(_AFTER_RECORD) :].partition(b"}")[0]  # its id alone
        record = old_record + b',"deleted":true}'
    return framed_bytes(record)


def leave_of(event: bytes) -> bytes:
    """What a client gets instead of this event whose filter the row does not match any more; both
    framed."""
    return _leaving(json.loads(text(event)))


def leave(table: str, row_id: int, version: int, seq: int) -> str:
    """The row changed and does not match the client's filter any more."""
    return _message("LEAVE", table=table, id=row_id, version=version, seq=seq)


def may_have_left(version: int) -> bool:
    """Whether an earlier version of a row that does not match a filter can have matched it: an
    update may change any column."""
    return version > 1


def filtered(events: Iterable[bytes], wanted: Filter) -> Iterator[bytes]:
    """What a client with that filter gets instead of these events of all rows; framed both."""
    for frame in events:
        message = json.loads(text(frame))
        if message["record"] is None or wanted.matches(message["record"]):
            yield frame
        elif may_have_left(message["version"]):
            yield _leaving(message)


def hello(endpoint: str, *, resumed: bool, reason: str | None) -> str:
    """The first message of each connection."""
    return _message(
        "hello",
        endpoint=endpoint,
        resumed=resumed,
        reason=reason,
        heartbeat_seconds=HEARTBEAT_SECONDS,
    )


def synced(cursor: str | None, *, complete: bool) -> str:
    """The state has been sent; `complete` is false when older rows were left out."""
    return _message("synced", cursor=cursor, complete=complete)


def cursor(value: str) -> str:
    """A newer place to resume from."""
    return _message("cursor", cursor=value)


def reset(reason: str) -> str:
    """The client has to discard everything that it holds."""
    return _message("reset", reason=reason)


def status(upstream: str) -> str:
    """How the relay itself is supplied."""
    return _message("status", upstream=upstream)


def authenticated(expires_in: int | None) -> str:
    """Answer to a refreshed token; `expires_in` seconds, None when nothing expires."""
    return _message("authenticated", expires_in=expires_in)


def token_expiring(seconds: int) -> str:
    """The token is good for so much longer; the client can show another one meanwhile."""
    return _message("token_expiring", seconds=seconds)


def _leaving(event: Mapping[str, Any]) -> bytes:
    row_id = (event["record"] or event["old_record"])["id"]
    return framed(leave(event["table"], row_id, event["version"], event["seq"]))


def _message(kind: str, **members: Any) -> str:
    message: Mapping[str, Any] = {"type": kind, **members}
    return encode(message)
