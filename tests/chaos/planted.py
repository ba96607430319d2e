"""Bugs: each takes one rule away on which the promise rests, by a patch in the process that calls.

`python -m tests.chaos.planted BUG [OPTION...]` runs a relay that has it. The names say what such a
relay does. `none` is a relay without a bug that reads small pages, so that there is something to
compare with.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import relay.stream.encoding
import relay.upstream.live
import relay.upstream.rest
from relay.__main__ import main
from relay.connections.session import InitialSync
from relay.resume.cursor import Cursor, Signer
from relay.resume.resume import Replay
from relay.stream.broker import Broker
from relay.stream.change import BY_NAME, Change, Incomplete, from_live, from_row
from relay.stream.dedup import Deduplicator
from relay.stream.encoding import Piece
from relay.stream.log import KnownVersions
from relay.stream.snapshot import Seqs, Snapshot

SMALL_PAGE = 10
MOMENT_SECONDS = 0.3
Patch = Callable[[Any, str, Any], None]  # setattr, or pytest's monkeypatch


def sends_everything_on(patch: Patch) -> None:
    """Whatever a source brings, whether another one has brought it or something newer."""
    accept = Deduplicator.accept

    def accepted(dedup: Deduplicator, change: Change) -> bool:
        accept(dedup, change)
        return True

    patch(Deduplicator, "accept", accepted)


def forgets_deletions(patch: Patch) -> None:
    """As if a row that is deleted had never been sent."""
    accept = Deduplicator.accept

    def accepted(dedup: Deduplicator, change: Change) -> bool:
        new = accept(dedup, change)
        if new and change.record is None:
            del dedup._sent[change.id]
        return new

    patch(Deduplicator, "accept", accepted)


def takes_deletions_as_final(patch: Patch) -> None:
    """Nothing of a row that was deleted is sent on any more, though it may be put back."""
    accept = Deduplicator.accept
    deleted = WeakKeyDictionary[Deduplicator, set[int]]()

    def accepted(dedup: Deduplicator, change: Change) -> bool:
        gone = deleted.setdefault(dedup, set())
        if change.record is not None:
            return change.id not in gone and accept(dedup, change)
        gone.add(change.id)
        return accept(dedup, change)

    patch(Deduplicator, "accept", accepted)


def takes_reads_as_complete(patch: Patch) -> None:
    """Who is new gets what the database shows, without what Realtime has brought before that."""
    patch(Deduplicator, "unshown", lambda dedup: {})


def takes_cursors_from_live_rows(patch: Patch) -> None:
    """What the newest transaction that was seen could see, and not what was read completely."""
    accept = Deduplicator.accept
    snapshot: Callable[[Deduplicator], Snapshot | None] = vars(Deduplicator)["snapshot"].fget
    newest = WeakKeyDictionary[Deduplicator, int]()

    def accepted(dedup: Deduplicator, change: Change) -> bool:
        newest[dedup] = max(change.tx, newest.get(dedup, 0))
        return accept(dedup, change)

    def seen(dedup: Deduplicator) -> Snapshot | None:
        complete, upto = snapshot(dedup), newest.get(dedup, 0) + 1
        if complete is None or upto <= complete.xmax:
            return complete
        return Snapshot(upto, upto)

    patch(Deduplicator, "accept", accepted)
    patch(Deduplicator, "snapshot", property(seen))


def puts_a_cursor_into_hello(patch: Patch) -> None:
    """The place where the client will be when it has had everything."""
    hello, sign = relay.stream.encoding.hello, Signer.sign
    newest: dict[str, str] = {}

    def signed(signer: Signer, cursor: Cursor) -> str:
        newest[cursor.endpoint] = sign(signer, cursor)
        return newest[cursor.endpoint]

    def greeted(endpoint: str, *, resumed: bool, reason: str | None) -> str:
        found = json.loads(hello(endpoint, resumed=resumed, reason=reason))
        return json.dumps(found | {"cursor": newest.get(endpoint)})

    patch(Signer, "sign", signed)
    patch(relay.stream.encoding, "hello", greeted)


def takes_the_head_at_completion(patch: Patch) -> None:
    """Where the logs are when a catch-up completes, and not where they were when it was sent; and
    without a look at what they hold that it does not show."""

    def completed(intake: Broker, number: int, snapshot: Snapshot, seqs: Seqs) -> None:
        intake.deduplicators[number].complete(snapshot)
        intake.histories[number].remember(snapshot, intake.hub.seqs()[number])

    patch(Broker, "complete", completed)


def takes_live_rows_as_they_are(patch: Patch) -> None:
    """Also those that lack a column."""

    def taken(message: Mapping[str, Any]) -> Change:
        try:
            return from_live(message)
        except Incomplete:
            return from_row(BY_NAME[message["table"]], message.get("record") or {})

    patch(relay.upstream.live, "from_live", taken)


def tells_nobody_that_rows_leave(patch: Patch) -> None:
    """A row that does not match any more is passed over."""
    patch(KnownVersions, "before", lambda known, change, now: None)
    patch(relay.stream.encoding, "may_have_left", lambda version: False)


def pages_without_an_upper_bound(patch: Patch) -> None:
    """Each page goes up to what is there when it is read."""
    reads_small_pages(patch)
    changes_since = relay.upstream.rest.Rest.changes_since

    async def unbounded(rest: relay.upstream.rest.Rest, *given: Any, **options: Any) -> Any:
        return await changes_since(rest, *given, **(options | {"upto": None}))

    patch(relay.upstream.rest.Rest, "changes_since", unbounded)


def replays_before_registering(patch: Patch) -> None:
    """Who comes back gets what was missed, and a moment later begins to listen."""

    def played(beginning: Any, replay: Replay) -> None:
        session, group = beginning._session, beginning._group

        def script() -> Iterator[Piece]:
            yield from replay.before
            yield from session.changes(replay.until)
            session._position = group.flushed
            yield beginning._synced(replay.cursor, complete=True)

        beginning._greet(None)
        play = partial(session.play, script(), replay.position)
        asyncio.get_running_loop().call_later(MOMENT_SECONDS, play)

    patch(InitialSync, "_play_replay", played)


def reads_small_pages(patch: Patch) -> None:
    """No bug: catch-ups of several pages without a large backlog."""
    changes_since = relay.upstream.rest.Rest.changes_since

    async def paged(rest: relay.upstream.rest.Rest, *given: Any, **options: Any) -> Any:
        page = min(options.get("page", SMALL_PAGE), SMALL_PAGE)
        return await changes_since(rest, *given, **(options | {"page": page}))

    patch(relay.upstream.rest.Rest, "changes_since", paged)


BUGS: Mapping[str, Callable[[Patch], None]] = {
    "none": reads_small_pages,
    "no-dedup": sends_everything_on,
    "deletions-forgotten": forgets_deletions,
    "deletions-final": takes_deletions_as_final,
    "reads-complete": takes_reads_as_complete,
    "cursor-from-live-rows": takes_cursors_from_live_rows,
    "cursor-in-hello": puts_a_cursor_into_hello,
    "head-at-completion": takes_the_head_at_completion,
    "no-reread": takes_live_rows_as_they_are,
    "no-leave": tells_nobody_that_rows_leave,
    "replay-before-registering": replays_before_registering,
    "no-upper-bound": pages_without_an_upper_bound,
}

if __name__ == "__main__":
    BUGS[sys.argv[1]](setattr)
    sys.exit(main(sys.argv[2:]))
