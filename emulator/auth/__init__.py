"""Stand-in for Supabase Auth: users with passwords, their sessions and tokens."""

from emulator.auth.part import part

__all__ = ["part"]
