"""Faults that are switched on from outside: on the way of changes, on sockets and in REST."""

from emulator.faults.kinds import InvalidFault
from emulator.faults.registry import Fault, Faults

__all__ = ["Fault", "Faults", "InvalidFault"]
