"""Every variable that the relay reads."""

from typing import Final

from relay.settings.parsing import (
    Variable,
    bytes_or_nothing,
    header,
    name,
    networks,
    one_of,
    origins,
    project_url,
    rate,
    seconds,
    secret,
    url,
    whole,
)

VARIABLES: Final = (
    Variable("SUPABASE_URL", None, "the address of the Supabase project", project_url),
    Variable("SUPABASE_SECRET_KEY", "", "the secret key of the project", secret, secret=True),
    Variable(
        "SUPABASE_PUBLISHABLE_KEY",
        "",
        "the publishable key of the project, which commands are sent with",
        secret,
        secret=True,
    ),
    Variable(
        "RELAY_SUPABASE_KEY",
        "",
        "a key with less rights than the secret one, for the relay alone",
        secret,
        secret=True,
    ),
    Variable(
        "RELAY_REALTIME_URL", "", "the address of Realtime; SUPABASE_URL/realtime/v1 if empty", url
    ),
    Variable(
        "RELAY_LIVE",
        "auto",
        "how changes arrive live: auto, broadcast, postgres_changes",
        one_of("auto", "broadcast", "postgres_changes"),
    ),
    Variable("HOST", "127.0.0.1", "the address to listen on"),
    Variable("PORT", "8003", "the port to listen on; 0 takes a free one", whole(0, 65535)),
    Variable(
        "RELAY_AUTH",
        "required",
        "who may connect: required asks for a user's token, off lets everybody in",
        one_of("required", "off"),
    ),
    Variable(
        "RELAY_ALLOW_PUBLIC_WITHOUT_AUTH",
        "no",
        "yes lets a relay without access control listen on more than this machine",
        one_of("no", "yes"),
    ),
    Variable(
        "SUPABASE_JWT_SECRET",
        "",
        "the secret of a project that still signs tokens with HS256",
        secret=True,
    ),
    Variable(
        "RELAY_JWT_ISSUER", "", "who has to have issued a token; SUPABASE_URL/auth/v1 if empty"
    ),
    Variable("RELAY_JWT_AUDIENCE", "authenticated", "whom a token has to be meant for"),
    Variable(
        "RELAY_SCOPE_COLUMN",
        "",
        "the column of all three tables that says whose a row is, where not everybody sees all",
        name,
    ),
    Variable(
        "RELAY_SCOPE_CLAIM",
        "",
        "where in app_metadata a token lists its scopes; RELAY_SCOPE_COLUMN if empty",
        name,
    ),
    Variable(
        "RELAY_TRUSTED_PROXIES",
        "",
        "proxies that say truly whom they forward for, as addresses or networks with commas",
        networks,
    ),
    Variable(
        "RELAY_CLIENT_ADDRESS_HEADER",
        "X-Forwarded-For",
        "the header in which these proxies say for whom; they have to set it or add to it",
        header,
    ),
    Variable("RELAY_MAX_CONNECTIONS", "12000", "connections of one process", whole(1, 1_000_000)),
    Variable(
        "RELAY_MAX_PER_ADDRESS",
        "200",
        "connections from one address, which may be this machine's",
        whole(1, 1_000_000),
    ),
    Variable("RELAY_MAX_PER_USER", "50", "connections of one user", whole(1, 1_000_000)),
    Variable(
        "RELAY_CONNECTS_PER_SECOND",
        "20",
        "new connections a second from one address, five times as many at once",
        rate,
    ),
    Variable("RELAY_AUTH_SECONDS", "10", "seconds that a client may take for its token", seconds),
    Variable(
        "RELAY_MESSAGES_PER_SECOND",
        "5",
        "messages a second from one client, ten times at once",
        rate,
    ),
    Variable("RELAY_TLS_CERT", "", "the file with the certificate, for https and wss"),
    Variable("RELAY_TLS_KEY", "", "the file with the certificate's private key"),
    Variable(
        "RELAY_LOCAL_TOKEN", "", "the user token of commands that bring none", secret, secret=True
    ),
    Variable(
        "RELAY_ALLOWED_ORIGINS",
        "",
        "origins of pages that may use the relay beside its own, with commas: https://a.example,"
        " https://*.example, http://localhost:*, capacitor://localhost, null, or * for all",
        origins,
    ),
    Variable(
        "RELAY_CURSOR_KEY",
        "",
        "what cursors are signed with, the same for all relays; the relay's Supabase key if empty",
        secret=True,
    ),
    Variable("RELAY_CATCH_UP_SECONDS", "5", "seconds between reads of what Realtime lost", seconds),
    Variable(
        "RELAY_RESUME_SECONDS",
        "86400",
        "how old a cursor may be, in seconds",
        whole(1, 30 * 86400),
    ),
    Variable(
        "RELAY_RESUME_ROWS",
        "200000",
        "changes that a resuming client may have missed when the database has to be asked",
        whole(1000, 1_000_000),
    ),
    Variable(
        "RELAY_COMPRESSION",
        "off",
        "whether messages are compressed for clients that offer permessage-deflate: off, on",
        one_of("off", "on"),
    ),
    Variable(
        "RELAY_IO_URING",
        "auto",
        "whether one system call sends to all clients, where the kernel offers io_uring: auto, off",
        one_of("auto", "off"),
    ),
    Variable(
        "RELAY_MAX_BEHIND_BYTES",
        "8388608",
        "bytes that a slow client may be behind",
        whole(65536, 2**30),
    ),
    Variable(
        "RELAY_LOG_BYTES",
        "",
        "bytes that the logs of all endpoints take; four times RELAY_MAX_BEHIND_BYTES if empty",
        bytes_or_nothing,
    ),
)
