"""Every environment variable that the programs read, with its default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import emulator.settings
import relay.settings
import worker.settings

REQUIRED = {"SUPABASE_URL": "http://127.0.0.1:8010", "SUPABASE_SECRET_KEY": "sb_secret_x"}


class Recording(Mapping[str, str]):
    """An environment that remembers which variables were asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return REQUIRED[name]

    def __iter__(self) -> Iterator[str]:
        return iter(REQUIRED)

    def __len__(self) -> int:
        return len(REQUIRED)


def defaults() -> dict[str, str | None]:
    """The default of each variable as text; None where it has to be set."""
    found = {variable.name: variable.default for variable in worker.settings.VARIABLES}
    found |= {variable.name: variable.default for variable in relay.settings.VARIABLES}
    environment = Recording()
    emulator.settings.Settings.from_env(environment)
    return dict.fromkeys(environment.asked, "") | {"EMULATOR_PORT": "8010"} | found
