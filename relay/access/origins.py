"""Which web pages may use the relay: decided from the Origin and Host headers. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from relay.access.addresses import parse

Allows = Callable[[str, str], bool]
"""Whether a page of this Origin may use the relay that was addressed by this Host."""

CORS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Expose-Headers": "location, retry-after",
    "Access-Control-Max-Age": "600",
}


ANY: Final = "*"
OPAQUE: Final = "null"
"""What browsers say for files, sandboxed frames and the like."""
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_PORT: Final = re.compile(r"[0-9]{1,5}|\*")


@dataclass(frozen=True, slots=True)
class _Origin:
    """`name` may begin with `*.`, for any name below; `port` is None for any."""

    scheme: str
    name: str
    port: int | None

    def includes(self, other: "_Origin") -> bool:
        below = self.name.startswith("*.") and other.name.endswith(self.name[1:])
        return (
            self.scheme == other.scheme
            and (below or self.name == other.name)
            and self.port in (None, other.port)
        )


def check(pattern: str) -> str:
    """The pattern, if it is one that `allowing` understands.

    Raises:
        ValueError: It is not; the text says which there are.
    """
    if pattern not in (ANY, OPAQUE):
        _parse(pattern, as_pattern=True)
    return pattern


def allowing(patterns: Sequence[str] = ()) -> Allows:
    """A predicate that allows the relay's own pages and those of `patterns`: an origin, in which
    `:*` is any port and `*.` before a name any name below it; `null`; or `*` for all.

    Raises:
        ValueError: A pattern is none of these.
    """
    everybody, opaque = ANY in patterns, OPAQUE in patterns
    listed = [_parse(each, as_pattern=True) for each in patterns if each not in (ANY, OPAQUE)]

    def allows(origin: str, host: str) -> bool:
        if everybody or origin == OPAQUE:
            return everybody or opaque
        try:
            page = _parse(origin, as_pattern=False)
        except ValueError:
            return False
        return _is_own(page, host) or any(pattern.includes(page) for pattern in listed)

    return allows


def _is_own(page: _Origin, host: str) -> bool:
    """Whether the page is from where the relay was addressed. Behind a proxy the relay does not
    know its own scheme, and a port that is the scheme's default may be left out."""
    name, _, port = host.lower().rpartition(":")
    if not (name and port.isascii() and port.isdigit()):
        name, port = host.lower(), ""
    default = _DEFAULT_PORTS.get(page.scheme)
    return (
        default is not None and page.name == name and page.port == (int(port) if port else default)
    )


def _parse(text: str, *, as_pattern: bool) -> _Origin:
    scheme, separator, rest = text.lower().partition("://")
    rest = rest.removesuffix("/") if as_pattern else rest
    found = _NAME.match(rest)
    if not (separator and scheme.isascii() and scheme.replace("-", "").isalnum() and found):
        raise ValueError(_UNDERSTOOD)
    name, port = found.group(), rest[found.end() :]
    if port and not (port.startswith(":") and _PORT.fullmatch(port[1:])):
        raise ValueError(_UNDERSTOOD)
    if not as_pattern and "*" in rest:
        raise ValueError("no page has such an origin")
    if not port:
        return _Origin(scheme, name, _DEFAULT_PORTS.get(scheme, 0))
    return _Origin(scheme, name, None if port == ":*" else int(port[1:]))


_UNDERSTOOD: Final = (
    "has to list origins such as https://app.example.org, https://*.example.org,"
    " http://localhost:* or capacitor://localhost, without a path; or null, or *"
)


def is_this_machine(name: str) -> bool:
    """Return whether a host name or address, without port, is a loopback one."""
    address = parse(name)
    return name == "localhost" or (address is not None and address.is_loopback)


@lru_cache(maxsize=256)
def is_addressed_locally(host: str) -> bool:
    """Whether a Host header names this machine; a foreign name may have been rebound to it."""
    try:
        parts = urlsplit(f"//{host.lower()}")
        _ = parts.port  # which two headers that were joined do not have
        return is_this_machine(parts.hostname or "")
    except ValueError:
        return False


def is_foreign(headers: Mapping[str, str], allows: Allows) -> bool:
    """Whether a request was made by a browser for a page that may not use the relay.

    A browser leaves Origin out where a page merely links or embeds; it then still says
    that the request crosses sites.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "cross-site"
    return not allows(origin, headers.get("host", ""))


def is_embedded(headers: Mapping[str, str]) -> bool:
    """Whether a browser made the request for another page's image, link or form, and not for a
    script that has to name its origin.

    Pages of one site are not all of one owner, and a GET for an image carries no Origin. What is no
    browser sends no `Sec-Fetch-Site`.
    """
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return False
    return headers.get("sec-fetch-mode") != "cors" or "origin" not in headers


def foreign(headers: Mapping[str, str]) -> str:
    """Why a page may not use the relay, and what helps."""
    origin = headers.get("origin", "another site")
    return f"pages of {origin} may not use this relay; RELAY_ALLOWED_ORIGINS lists those that may"


def cors(origin: str | None) -> dict[str, str]:
    """The headers that let the page of an allowed origin read the answer."""
    if origin is None:
        return {"Vary": "Origin"}
    return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, **CORS}
