"""`python -m relay disconnect`: ends the connections of a user or session."""

import argparse
import sys
from collections.abc import Mapping
from typing import Final

import httpx

from relay.errors import SettingsError
from relay.terminal.output import default_url

TIMEOUT: Final = httpx.Timeout(10.0)


def configure(parser: argparse.ArgumentParser, env: Mapping[str, str]) -> None:
    """Adds the arguments of this command."""
    url = default_url(env, "http")
    parser.add_argument("--url", default=url, help="address of the relay (%(default)s)")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--user", metavar="ID", help="all connections of this user (`sub`)")
    whose.add_argument("--session", metavar="ID", help="all of this session (`session_id`)")


async def run(args: argparse.Namespace, env: Mapping[str, str]) -> int:
    """Asks the relay to end the connections; the exit status is 0 when it did, else 1."""
    key = env.get("RELAY_SUPABASE_KEY") or env.get("SUPABASE_SECRET_KEY")
    if not key:
        raise SettingsError(
            "SUPABASE_SECRET_KEY is not set: disconnecting needs the key that the relay has"
        )
    body = {"user": args.user} if args.user else {"session": args.session}
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
            reply = await client.post(
                f"{args.url.rstrip('/')}/admin/disconnect",
                json=body,
                headers={"Authorization": f"Bearer {key}"},
            )
        answer = reply.json()
        if reply.is_success:
            print(f"{answer['disconnected']} connections ended")
            return 0
        problem = str(answer["detail"])
    except httpx.HTTPError as error:
        problem = f"the relay cannot be reached: {error}"
    except (ValueError, KeyError, TypeError):
        problem = f"{args.url} does not answer like a relay"
    print(f"relay disconnect: {problem}", file=sys.stderr)
    return 1
