"""Which web pages may use the relay: decided from the Origin and Host headers. Pure."""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

Allows = Callable[[str, str], bool]
"""Whether a page of this Origin may use the relay that was addressed by this Host."""

CORS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type",
    "Access-Control-Expose-Headers": "location, retry-after",
    "Access-Control-Max-Age": "600",
}


def allowing(origins: Sequence[str] = ()) -> Allows:
    """A predicate that allows the relay's own pages and `origins`, where `:*` is any port."""
    listed = {origin.rstrip("/").lower() for origin in origins}

    def allows(origin: str, host: str) -> bool:
        origin = origin.lower()
        try:
            parts = urlsplit(origin)
            _ = parts.port  # which a made-up one may not have
            any_port = f"{parts.scheme}://{_bracketed(parts.hostname or '')}:*"
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path:
            return False
        return parts.netloc == host.lower() or origin in listed or any_port in listed

    return allows


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def is_this_machine(name: str) -> bool:
    """Whether a host name or address, without port, is this machine's and nobody else's."""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=256)
def is_addressed_locally(host: str) -> bool:
    """Whether a Host header names this machine; a foreign name may have been rebound to it."""
    try:
        return is_this_machine(urlsplit(f"//{host.lower()}").hostname or "")
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


def cors(origin: str | None) -> dict[str, str]:
    """The headers that let the page of an allowed origin read the answer."""
    if origin is None:
        return {"Vary": "Origin"}
    return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, **CORS}
