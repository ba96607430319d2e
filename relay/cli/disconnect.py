"""`python -m relay disconnect`: ends the connections of a user or session."""

import argparse
import ssl
import sys
from collections.abc import Mapping
from typing import Final

import httpx

from relay.cli.terminal import default_url
from relay.client import explain, printable
from relay.errors import SettingsError

TIMEOUT: Final = httpx.Timeout(10.0)


def configure(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Add the arguments of this command."""
    url = default_url(env, "http")
    parser.add_argument("--url", default=url, help="address of the relay (%(default)s)")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument(
        "--user",
        type=_id,
        metavar="ID",
        help="all connections of this user: the id, `sub` of the token, and not the e-mail",
    )
    whose.add_argument(
        "--session", type=_id, metavar="ID", help="all of this session (`session_id`)"
    )
    parser.epilog = (
        "Exit status: 0 when a connection was ended, 1 when there was none or the relay could not"
        " be asked. A relay that runs with --workers ends those of the one process that answers."
    )


def _id(text: str) -> str:
    if "@" in text:
        raise argparse.ArgumentTypeError(
            f"{text} is an e-mail address: the id is wanted, which the project's dashboard shows"
            " under Authentication, Users"
        )
    return text


async def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Ask the relay to end the connections; the exit status is 0 when it ended any, else 1."""
    key = env.get("RELAY_SUPABASE_KEY") or env.get("SUPABASE_SECRET_KEY")
    if not key:
        raise SettingsError(
            "SUPABASE_SECRET_KEY is not set: disconnecting needs the key that the relay has"
        )
    body = {"user": args.user} if args.user else {"session": args.session}
    trusted = ssl.create_default_context()  # as for WebSockets: with SSL_CERT_FILE
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, verify=trusted) as client:
            reply = await client.post(
                f"{args.url.rstrip('/')}/admin/disconnect",
                json=body,
                headers={"Authorization": f"Bearer {key}"},
            )
        answer = reply.json()
        if reply.is_success and (ended := int(answer["disconnected"])):
            print(f"{ended} connection{'' if ended == 1 else 's'} ended")
            return 0
        [(kind, id)] = body.items()
        nobody = f"nothing was ended: the relay at {args.url} has no connection of {kind} {id}"
        problem = nobody if reply.is_success else str(answer["detail"])
    except httpx.InvalidURL as exc:
        problem = f"{args.url} is no address: {exc}"
    except httpx.HTTPError as exc:
        problem = f"{args.url} {(await explain(args.url, exc)).text}"
    except (ValueError, KeyError, TypeError):
        problem = f"{args.url} does not answer like a relay"
    print(printable(f"relay disconnect: {problem}"), file=sys.stderr)
    return 1
