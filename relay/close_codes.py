"""Close codes of the relay's WebSockets: the client decides from the number alone."""

import enum
from typing import Final

MOST_REASON_BYTES: Final = 120


class CloseCode(enum.IntEnum):
    """Below 4500: come back, with jitter. From 4500 on: do not come back unchanged."""

    meaning: str

    RESTARTING = 1012, "the relay restarts"
    OVERLOADED = 1013, "overloaded, or a limit is reached"
    TOO_SLOW = 4000, "the client reads too slowly"
    TOKEN_EXPIRED = 4001, "the token expired, or is not valid yet"
    TOO_MANY_MESSAGES = 4002, "the client sends too many messages"
    UNAUTHORIZED = 4500, "not authorised, no token in time, or revoked"
    BAD_MESSAGE = 4501, "the client sent a message that is not understood or too big"
    BAD_PARAMETER = 4502, "a query parameter is unknown or has a bad value"

    def __new__(cls, code: int, meaning: str = "") -> "CloseCode":
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    @property
    def come_back(self) -> bool:
        """Whether the same request may succeed later."""
        return self < 4500


def shortened(reason: str) -> str:
    """Truncate a reason to what fits into a close frame: servers fail with a longer one."""
    return reason.encode()[:MOST_REASON_BYTES].decode(errors="ignore")
