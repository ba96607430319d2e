"""How environment variables are declared, read, and told from misspelt ones."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, ClassVar, Final, Generic, Self, TypeVar
from urllib.parse import urlsplit

from relay.access import addresses
from relay.access.origins import check as check_origin
from relay.errors import SettingsError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Type(Generic[T]):
    """How the text of a variable is read.

    Attributes:
        name: The values that are accepted, in a few words.
        parse: Returns the value; its ValueError follows on "NAME is 'x': it".
    """

    name: str
    parse: Callable[[str], T]


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable.

    Attributes:
        default: The text that stands for an unset or empty variable; None if it is required.
        help: What it means, in a few words.
        secret: Whether its value is never shown.
    """

    name: str
    default: str | None
    help: str
    type: Type[Any]
    secret: bool = False

    def read(self, env: Mapping[str, str]) -> Any:
        """Return its value in `env`.

        Raises:
            SettingsError: It is missing or has a bad value.
        """
        text = env.get(self.name, "").strip() or self.default
        if text is None:
            raise SettingsError(f"{self.name} is not set: it is {self.help}")
        try:
            return self.type.parse(text)
        except ValueError as exc:
            shown = "" if self.secret else f" is {text!r}: it"
            raise SettingsError(f"{self.name}{shown} {exc}") from None


def variable(
    name: str, default: str | None, help: str, type: Type[T], *, secret: bool = False
) -> T:
    """Declare a field of a group that is read from a variable."""
    declared: T = field(
        repr=not secret, metadata={"variable": Variable(name, default, help, type, secret)}
    )
    return declared


class Group:
    """Settings that belong together; each field is declared by `variable`."""

    title: ClassVar[str]

    @classmethod
    def variables(cls) -> Mapping[str, Variable]:
        """Return the variables by the names of their fields."""
        return {each.name: each.metadata["variable"] for each in fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Self:
        """Return the group as `env` describes it. Raises SettingsError."""
        return cls(**{name: each.read(env) for name, each in cls.variables().items()})


def _secret(text: str) -> str:
    # It travels in a header; the library's own error would show it.
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("has characters that no key has")
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _origins(text: str) -> tuple[str, ...]:
    return tuple(check_origin(each) for each in _words(text))


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError("has to begin with http:// or https:// and name a host")
    with suppress(ValueError):  # what `port` raises
        if parts.port != 0:
            return text.rstrip("/")
    raise ValueError("names a port that cannot be")


def _project_url(text: str) -> str:
    found = _url(text)
    parts = urlsplit(found)
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        # The worker says the same, see worker/settings.py.
        raise ValueError(
            "has to be the address of the project alone, such as https://abc.supabase.co, without"
            " a path"
        )
    return found


def _number(text: str, least: float, most: float, what: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not least <= found <= most:
        raise ValueError(f"has to be a number {what}from {least} to {most}")
    return found


def _networks(text: str) -> tuple[addresses.Network, ...]:
    try:
        return addresses.networks(_words(text))
    except ValueError as exc:
        raise ValueError(f"has to list addresses and networks such as 10.0.0.0/8: {exc}") from None


def _header(text: str) -> str:
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", text, re.ASCII):
        raise ValueError("has to be the name of a header such as X-Forwarded-For")
    return text.lower()


def _name(text: str) -> str:
    if text and not text.isidentifier():
        raise ValueError("has to be a plain name")
    return text


def whole(least: int, most: int) -> Type[int]:
    """Return the type of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"has to be a whole number from {least} to {most}")
        return int(text)

    return Type(f"whole number, {least} to {most}", parse)


def one_of(*known: str) -> Type[str]:
    """Return the type of these words."""

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"has to be {' or '.join(known)}")
        return text

    return Type(", ".join(known), parse)


def flag(*known: str, true: str) -> Type[bool]:
    """Return the type of two words, of which `true` is read as True."""
    word = one_of(*known)
    return Type(word.name, lambda text: word.parse(text) == true)


def optional(type: Type[T]) -> Type[T | None]:
    """Return the type that reads an empty text as None, and any other as `type` does."""
    return Type(type.name, lambda text: type.parse(text) if text else None)


TEXT: Final = Type("text", str)
SECRET: Final = Type("text without spaces", _secret)
FILE: Final = Type("file", str)
URL: Final = Type("http or https address", _url)
SECONDS: Final = Type("seconds, 0.1 to 3600", lambda t: _number(t, 0.1, 3600, "of seconds "))
RATE: Final = Type(
    "number per second, 0.001 to 1000000", lambda text: _number(text, 0.001, 1_000_000, "")
)
NAME: Final = Type("name", _name)
PROJECT_URL: Final = Type("http or https address without a path", _project_url)
ORIGINS: Final = Type("list of origins", _origins)
NETWORKS: Final = Type("list of addresses and networks", _networks)
HEADER: Final = Type("name of a header", _header)


# As difflib measures how much two names have in common.
NEAR_MISS: Final = 0.9
LOOKS_LIKE: Final = 0.85
REST_ALIKE: Final = 0.6  # of names that begin with a prefix of ours, what follows on it
SHORTEST_LIKENESS: Final = 8  # characters: HOST and PORT look like much else

_PREFIXES: Final = ("RELAY_", "SUPABASE_")
# What projects call these keys elsewhere.
_ALSO: Final = {
    "SUPABASE_SERVICE_ROLE_KEY": "SUPABASE_SECRET_KEY",
    "SUPABASE_SERVICE_KEY": "SUPABASE_SECRET_KEY",
    "SUPABASE_KEY": "SUPABASE_SECRET_KEY",
    "SUPABASE_ANON_KEY": "SUPABASE_PUBLISHABLE_KEY",
}
_KUBERNETES: Final = re.compile(r"_SERVICE_(HOST|PORT)|_PORT_\d+_(TCP|UDP|SCTP)")


def check_names(env: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse RELAY_ names that are nearly a known one.

    Names that are like none pass: Kubernetes sets some for a service called relay.

    Raises:
        SettingsError: The text names the variable and the one that is meant.
    """
    for name in sorted(env):
        if name in known or not name.upper().startswith("RELAY_"):
            continue
        if near := get_close_matches(name.upper(), known, n=1, cutoff=NEAR_MISS):
            raise SettingsError(f"{name} is not a variable that is read: is {near[0]} meant?")


def misspelt(env: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Return warnings of names that nothing reads, each near one of `names` that is not set."""
    found = []
    for name, value in sorted(env.items()):
        # Kubernetes gives the address of a service called relay in RELAY_PORT.
        if name in names or _KUBERNETES.search(name) or ("://" in value and name.endswith("_PORT")):
            continue
        meant = _meant(name.upper(), names)
        if meant is not None and not env.get(meant):
            found.append(f"nothing reads {name}: is {meant} meant?")
    return found


def _meant(name: str, names: Sequence[str]) -> str | None:
    prefix = next((each for each in _PREFIXES if name.startswith(each)), None)
    if prefix is None:
        known = {each: each for each in names if len(each) >= SHORTEST_LIKENESS}
        near = get_close_matches(name, known, n=1, cutoff=LOOKS_LIKE)
    else:
        known = {each: each for each in names} if prefix == "RELAY_" else {}
        known |= {each.removeprefix(prefix): each for each in names if each.startswith(prefix)}
        known |= {other.removeprefix(prefix): each for other, each in _ALSO.items()}
        near = get_close_matches(name.removeprefix(prefix), known, n=1, cutoff=REST_ALIKE)
    return known[near[0]] if near else None
