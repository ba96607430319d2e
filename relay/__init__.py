"""The relay: follows Supabase Realtime and re-broadcasts every change to WebSocket clients."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version_of


def installed_version() -> str:
    """Return the version of the installed distribution."""
    try:
        return _version_of("hotspot-relay")
    except PackageNotFoundError:  # its files lie somewhere and were not installed
        return "(not installed)"
