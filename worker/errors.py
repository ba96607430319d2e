"""What can go wrong between the worker and Supabase, and with what a person asks for.

WorkerError
 +- Unavailable      not now: try again
 +- Rejected         never again unchanged
 |   +- Unauthorized the key is not accepted
 |   +- SchemaMissing tables or functions are not there: apply the migrations
 +- LeaseLost        another worker holds the lease: stop this scan
 +- EpisodeChanged   somebody changed an episode meanwhile: read it and judge again
 +- BatchGone        the batch is not ours any more: claim again
"""


class WorkerError(Exception):
    """Base class."""


class Unavailable(WorkerError):
    """Supabase did not answer, or not sensibly."""


class Rejected(WorkerError):
    """Supabase understood the request and refused it."""


class Unauthorized(Rejected):
    """Supabase did not accept the key."""


class SchemaMissing(Rejected):
    """The project has not got this schema, or an older one."""


class LeaseLost(WorkerError):
    """Another worker took the lease over."""


class EpisodeChanged(WorkerError):
    """An episode has another version than the one that was judged."""


class BatchGone(WorkerError):
    """The batch was given up or its events were completed otherwise."""


class UsageError(Exception):
    """The arguments of a command make no sense together; the text says what to write."""
