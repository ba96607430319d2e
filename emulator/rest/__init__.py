"""Stand-in for PostgREST: the REST API that the Supabase clients speak."""

from emulator.rest.mount import mount
from emulator.rest.routes import routes

__all__ = ["mount", "routes"]
