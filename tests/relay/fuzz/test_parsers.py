"""Whatever comes, what reads it answers with a value or one of its own errors.

`FUZZ=100000` makes it that many inputs for each run of the suite; the seed is fixed, or SEED.
"""

import contextlib
import os
from collections.abc import Callable

import pytest

from relay.access.addresses import Proxies, networks
from relay.access.origins import allowing, is_addressed_locally
from relay.access.tokens import BadToken, Rules, shared, verify
from relay.api.admin import whom
from relay.api.requests import notes, query
from relay.connections import handshake, messages
from relay.connections.admission import parse_query
from relay.connections.websocket import FrameReader
from relay.errors import BadParameter, Refused
from relay.resume.cursor import Cursor, InvalidCursor, Signer, bound
from relay.stream.change import ENDPOINTS
from relay.stream.filters import Filter
from relay.stream.snapshot import Snapshot
from tests.relay.fuzz.inputs import Inputs

ATTEMPTS = int(os.environ.get("FUZZ") or 3000)
SEED = int(os.environ.get("SEED") or 20261123)
SIGNER = Signer("key")
TRUSTED = networks(["127.0.0.1"])
LISTED, RFC_7239 = Proxies(TRUSTED), Proxies(TRUSTED, "forwarded")


def cursors() -> list[str]:
    """Real ones, of several filters and places."""
    found = []
    for number, endpoint in enumerate(ENDPOINTS):
        snapshot = Snapshot(90 + number, 120, frozenset({90 + number, 100}))
        wanted = Filter(endpoint)
        cursor = Cursor(snapshot, "7.1", "instance", 3, endpoint.name, bound(wanted), 1000)
        found.append(SIGNER.sign(cursor))
    return found


CURSORS = cursors()


def of_frames(inputs: Inputs) -> None:
    incoming = FrameReader(compressed=inputs.random.random() < 0.5)
    for _ in range(3):
        if incoming.ended is None:
            for message in incoming.receive(inputs.frames()):
                assert len(message) <= 16 * 1024
    assert len(incoming.close(4501, "enough") + incoming.answer) < 10_000


def of_messages(inputs: Inputs) -> None:
    said = inputs.message()
    text = said if inputs.random.random() < 0.2 else said.decode(errors="replace")
    for read in (messages.parse, messages.token_in):
        with contextlib.suppress(messages.BadMessage):
            read(text)


def of_cursors(inputs: Inputs) -> None:
    text = inputs.cursor(CURSORS)
    if text in CURSORS:
        SIGNER.read(text)
    else:
        with pytest.raises(InvalidCursor):
            SIGNER.read(text)


def of_queries(inputs: Inputs) -> None:
    text = inputs.query(CURSORS).encode("latin-1", "replace").decode("latin-1")
    try:
        wanted = parse_query(inputs.random.choice(ENDPOINTS), text, resumable=True)
        said = str(wanted.filter)
    except BadParameter as exc:
        said = str(exc)
    assert said.encode() is not None  # it goes into logs and close frames


def of_bodies(inputs: Inputs) -> None:
    body = inputs.json().encode(errors="surrogatepass")
    body = inputs.mutated(body) if inputs.random.random() < 0.3 else body
    assert refusal(lambda: notes(body)) in (None, 400, 422)
    assert refusal(lambda: whom(body)) in (None, 400, 422)


def of_lists(inputs: Inputs) -> None:
    endpoint = inputs.random.choice(ENDPOINTS)
    pairs = [(inputs.of(("limit", "status")), inputs.text()) for _ in range(3)]
    assert refusal(lambda: query(endpoint, pairs)) in (None, 400, 422)


def refusal(read: Callable[[], object]) -> int | None:
    """The status that it is refused with."""
    try:
        read()
    except Refused as exc:
        return exc.status
    return None


def of_headers(inputs: Inputs) -> None:
    text = inputs.text()
    allowing(["http://localhost:*"])(
        inputs.random.choice(("", "http://", "https://[")) + text, text
    )
    is_addressed_locally(text)
    for proxies, value in ((LISTED, text), (RFC_7239, f"for={text}")):
        assert proxies.client("127.0.0.1", {proxies.header: value})


def of_tokens(inputs: Inputs) -> None:
    parts = [inputs.json(), inputs.json(), inputs.text(8)]
    text = ".".join(parts) if inputs.random.random() < 0.2 else inputs.text()
    with pytest.raises(BadToken):
        verify(text, [shared("secret" * 8)], Rules(""), 1000.0)


def of_handshakes(inputs: Inputs) -> None:
    found = handshake.parse(inputs.handshake())
    assert found is None or found.path.startswith(("/", "*"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "read",
    [
        of_frames,
        of_messages,
        of_cursors,
        of_queries,
        of_bodies,
        of_lists,
        of_headers,
        of_tokens,
        of_handshakes,
    ],
)
def test_it_is_read_or_refused(read: Callable[[Inputs], None]) -> None:
    inputs = Inputs(SEED)
    for attempt in range(ATTEMPTS // 10):
        try:
            read(inputs)
        except Exception as exc:
            raise AssertionError(f"attempt {attempt} of seed {SEED}") from exc
