"""A database in miniature: transactions that commit in any order, snapshots, and its readers."""

from dataclasses import dataclass, field

from relay.stream.change import HOTSPOTS, Change
from relay.stream.snapshot import Snapshot


@dataclass
class Transaction:
    """One that runs: what it wrote becomes visible with its commit. One that is `ending` is in the
    write-ahead log as committed, but not visible: it waits for a standby."""

    tx: int
    writes: list[Change] = field(default_factory=list)
    ending: bool = False


class Database:
    """Rows of one table with versions and transactions, like the real one's stamps."""

    def __init__(self) -> None:
        self.running: dict[int, Transaction] = {}
        self.committed: list[Change] = []
        self.next_tx = 100
        self.next_id = 1

    def newest(self) -> dict[int, Change]:
        """The newest committed change of each id, deletions included."""
        found: dict[int, Change] = {}
        for change in self.committed:
            if change.id not in found or change.version > found[change.id].version:
                found[change.id] = change
        return found

    def rows(self) -> list[Change]:
        """The rows that are there, by id."""
        newest = self.newest()
        return [newest[row_id] for row_id in sorted(newest) if newest[row_id].record is not None]

    def begin(self) -> Transaction:
        """Starts a transaction with the next id."""
        transaction = Transaction(self.next_tx)
        self.running[transaction.tx] = transaction
        self.next_tx += 1
        return transaction

    def insert(self, transaction: Transaction, status: str) -> None:
        """A new row."""
        self._write(transaction, self.next_id, 1, status)
        self.next_id += 1

    def change(self, transaction: Transaction, row_id: int, status: str | None) -> None:
        """Another version of a row that no other transaction is changing; None deletes it, and a
        status puts a deleted one back."""
        locked = {
            write.id
            for other in self.running.values()
            for write in other.writes
            if other is not transaction
        }
        own = [write for write in transaction.writes if write.id == row_id]
        held = own[-1] if own else self.newest().get(row_id)
        deleted = held is not None and held.record is None
        if held is not None and row_id not in locked and not (deleted and status is None):
            self._write(transaction, row_id, held.version + 1, status)

    def end(self, transaction: Transaction, *, commit: bool) -> list[Change]:
        """What became visible, each row once in its last version."""
        del self.running[transaction.tx]
        last = {write.id: write for write in transaction.writes} if commit else {}
        self.committed += last.values()
        return list(transaction.writes) if commit else []

    def begin_end(self, transaction: Transaction) -> list[Change]:
        """The transaction commits but waits for a standby; what those see that read the log."""
        transaction.ending = True
        return list(transaction.writes)

    def waiting(self) -> list[Change]:
        """What is in the log and not visible."""
        return [
            write
            for transaction in self.running.values()
            if transaction.ending
            for write in transaction.writes
        ]

    def snapshot(self) -> Snapshot:
        """What is visible now."""
        running = frozenset(self.running)
        return Snapshot(min(running, default=self.next_tx), self.next_tx, running)

    def changes_since(self, since: Snapshot, upto: Snapshot) -> list[Change]:
        """The newest version of each row that `upto` shows and `since` does not."""
        return sorted(
            (
                change
                for change in self.newest().values()
                if upto.shows(change.tx) and not since.shows(change.tx)
            ),
            key=lambda change: (change.tx, change.id),
        )

    def _write(
        self, transaction: Transaction, row_id: int, version: int, status: str | None
    ) -> None:
        record = None if status is None else {"id": row_id, "status": status}
        transaction.writes.append(Change(HOTSPOTS, row_id, version, transaction.tx, record))
