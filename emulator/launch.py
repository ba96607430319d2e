"""Puts a server together from a data directory and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from emulator import account, binaries, cluster
from emulator.postgres import Postgres

# For tests: a server whose data may be lost with the machine, and that starts sooner.
FAST: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_prepared_transactions": "20",
}


def server(
    data: Path,
    *,
    pg_bin: Path | None = None,
    tcp_port: int | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Postgres:
    """A server on `data`, its cluster made when there is none; not started yet.

    `data` has to exist, and the caller sees to it that nobody else uses it. Raises PlaceRefused,
    BinariesMissing, ClusterRefused.
    """
    user = account.unprivileged()
    programs = binaries.find(pg_bin, user)
    places = cluster.choose(data, user)
    extra = dict(parameters or {})
    cluster.make(places, programs, user, sync=extra.get("fsync") != "off")
    return Postgres(
        binaries=programs,
        places=places,
        account=user,
        log=data / "postgres.log",
        parameters=extra,
        tcp_port=tcp_port,
    )
