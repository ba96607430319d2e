"""A variable and the parsing of its text; what a ValueError says follows on "NAME is 'x': it"."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from relay.access import addresses
from relay.errors import SettingsError
from relay.origins import check as check_origin


def plain(text: str) -> str:
    """The text as it is."""
    return text


def secret(text: str) -> str:
    """A text that a header can carry."""
    # It travels in a header; the library's own error would show it.
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has characters that no key has")
    return text


def words(text: str) -> tuple[str, ...]:
    """Words with commas between."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def origins(text: str) -> tuple[str, ...]:
    """Patterns of origins with commas between."""
    return tuple(check_origin(each) for each in words(text))


def url(text: str) -> str:
    """An address of a web server, without a slash at its end."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError("has to begin with http:// or https:// and name a host")
    if not _port_fits(parts):
        raise ValueError("names a port that cannot be")
    return text.rstrip("/")


def project_url(text: str) -> str:
    """The address of a project, to which the paths of its services are added."""
    found = url(text)
    parts = urlsplit(found)
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        # The worker says the same, see worker/settings.py.
        raise ValueError(
            "has to be the address of the project alone, such as https://abc.supabase.co, without"
            " a path"
        )
    return found


def _port_fits(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def whole(least: int, most: int) -> Callable[[str], int]:
    """Whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"has to be a whole number from {least} to {most}")
        return int(text)

    return parse


def bytes_or_nothing(text: str) -> int | None:
    """A whole number of bytes from 1 MiB to 1 TiB, or nothing."""
    return whole(2**20, 2**40)(text) if text else None


def seconds(text: str) -> float:
    """A number of seconds from 0.1 to 3600."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise ValueError("has to be a number of seconds from 0.1 to 3600")
    return seconds


def rate(text: str) -> float:
    """A number a second, above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0.001 <= found <= 1_000_000:
        raise ValueError("has to be a number from 0.001 to 1000000")
    return found


def networks(text: str) -> tuple[addresses.Network, ...]:
    """Addresses and networks with commas between."""
    try:
        return addresses.networks(words(text))
    except ValueError as error:
        raise ValueError(
            f"has to list addresses and networks such as 10.0.0.0/8: {error}"
        ) from None


def header(text: str) -> str:
    """The name of a header, in lower case."""
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", text, re.ASCII):
        raise ValueError("has to be the name of a header such as X-Forwarded-For")
    return text.lower()


def name(text: str) -> str:
    """The name of a column or claim, or nothing."""
    if text and not text.isidentifier():
        raise ValueError("has to be a plain name")
    return text


def one_of(*known: str) -> Callable[[str], str]:
    """One of these words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"has to be {' or '.join(known)}")
        return text

    return parse


@dataclass(frozen=True)
class Variable:
    """One variable; `default` is None when it has to be set. Values of secrets are never shown."""

    name: str
    default: str | None
    help: str
    parse: Callable[[str], Any] = plain
    secret: bool = False

    def read(self, env: Mapping[str, str]) -> Any:
        """Its value in `env`, where an empty one counts as not set.

        Raises:
            SettingsError: it is missing or has a bad value.
        """
        text = env.get(self.name, "").strip() or self.default
        if text is None:
            raise SettingsError(f"{self.name} is not set: it is {self.help}")
        try:
            return self.parse(text)
        except ValueError as error:
            shown = "" if self.secret else f" is {text!r}: it"
            raise SettingsError(f"{self.name}{shown} {error}") from None
