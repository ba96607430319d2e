"""Stand-in for Supabase Auth: users with passwords, their sessions and tokens."""

from emulator.auth.routes import mount

__all__ = ["mount"]
