"""The cursors that this relay hands out."""

from dataclasses import dataclass
from typing import Final

from relay.changes.filters import Filter
from relay.changes.intake import Intake
from relay.clients.cursor import Cursor, Signer, refusal


@dataclass(slots=True)
class Identity:
    """This process: its instance and the newest beat that the database has confirmed."""

    instance: str
    beat: int = 0


class Places:
    """Cursors for the last completed catch-up, bound to this instance and its confirmed beat."""

    def __init__(self, secret: str, identity: Identity, intake: Intake) -> None:
        self._signer: Final = Signer(secret)
        self._identity: Final = identity
        self._intake: Final = intake

    def cursor(self, wanted: Filter) -> str | None:
        """Where clients of that filter are; None before the first catch-up and heartbeat."""
        snapshot, epoch = self._intake.feed.snapshot, self._intake.epoch
        if snapshot is None or epoch is None or self._identity.beat == 0:
            return None
        return self._signer.sign(
            Cursor(
                snapshot=snapshot,
                epoch=epoch,
                instance=self._identity.instance,
                beat=self._identity.beat,
                endpoint=wanted.endpoint.name,
                filter=str(wanted),
            )
        )

    def refusal(self, presented: str, wanted: Filter) -> str:
        """Why the presented cursor is answered by a reset."""
        return refusal(self._signer, presented, wanted, self._intake.epoch)
