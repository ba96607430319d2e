"""What all visitors share."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.access.deadlines import Deadlines
from relay.access.gate import Grant, TokenGate
from relay.access.limits import Door
from relay.access.register import Register
from relay.clients.entrance import Admitted
from relay.clients.outlet import Outlet
from relay.clients.session import Session


@dataclass(frozen=True, slots=True)
class SigningIn:
    """Who decides, who is there, and the clocks; `open` makes the session of who was let in."""

    gate: TokenGate
    door: Door
    register: Register
    deadlines: Deadlines
    open: Callable[[Outlet, Admitted, Grant], Session]
    auth_seconds: float
    now: Callable[[], float]
    clock: Callable[[], float]  # seconds since 1970
