"""Errors of the relay; the class says whether to try again.

RelayError
├── SettingsError   a variable is missing or wrong; starting again needs a change
├── BadParameter    a client asked for something that does not exist
├── Refused         a command cannot be carried out as it was asked; carries the HTTP status
└── Unavailable     Supabase did not answer as it should; later may work
    ├── KeyRefused  it does not accept the relay's key
    └── SchemaMissing  it is not this project's database, or not yet
"""


class RelayError(Exception):
    """Base of all errors that the relay names itself."""


class SettingsError(RelayError):
    """A setting is missing or has a bad value; the text names the variable and the remedy."""


class BadParameter(RelayError):
    """A query parameter is unknown or has a bad value."""


class Unavailable(RelayError):
    """A request to Supabase failed; the text names the request and the answer."""


class KeyRefused(Unavailable):
    """Supabase does not accept the key: it has to be changed."""


class SchemaMissing(Unavailable):
    """A table or function is missing: the migrations have to be applied."""


class Refused(RelayError):
    """A command over HTTP is not carried out; the text tells the caller why and what to do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
