"""Stand-in for PostgREST: the REST API that the Supabase clients speak."""

from emulator.rest.part import part
from emulator.rest.routes import routes

__all__ = ["part", "routes"]
