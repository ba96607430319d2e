"""The contestants from Debian: nginx with nchan, mosquitto, and nats-server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import feeds, install, machine
from bench.contestant import Server
from bench.processes import started

Configure = Callable[[Path, int, int], str]
NGINX = """
load_module {modules}/ngx_nchan_module.so;
daemon off;
user root root;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 100000000;
  nchan_max_reserved_memory 512M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /ws {{
      nchan_subscriber websocket;
      nchan_channel_id rows;
      nchan_subscriber_first_message newest;
    }}
  }}
  server {{
    listen 127.0.0.1:{feed};
    location = /publish {{
      nchan_publisher http;
      nchan_channel_id rows;
      nchan_message_buffer_length 5000;
    }}
  }}
}}
"""
# nchan makes nginx create its folders in /var/lib/nginx, whatever the configuration says: it gets a
# /var/lib of its own, which goes with it.
PRIVATE_STATE = (
    *(("unshare",) if os.geteuid() == 0 else ("unshare", "--map-root-user")),
    *("--mount", "sh", "-c"),
    *('mount -t tmpfs none /var/lib && mkdir /var/lib/nginx && exec "$0" "$@"',),
)
MOSQUITTO = """
per_listener_settings false
allow_anonymous true
max_queued_messages 0
set_tcp_nodelay true
listener {port} 127.0.0.1
protocol websockets
listener {feed} 127.0.0.1
protocol mqtt
"""
NATS = """
host: 127.0.0.1
port: {feed}
max_connections: 64000
max_pending: 512MB
websocket {{ host: "127.0.0.1", port: {port}, no_tls: true }}
"""


@dataclass(frozen=True)
class DebianPeer:
    """A server with a configuration; `options` subscribe, `encode` is how a row is published."""

    name: str
    program: str
    arguments: tuple[str, ...]
    configuration: str
    encode: feeds.Encode
    options: tuple[str, ...]
    greeting: bytes = b""
    joins: bool = False
    within: tuple[str, ...] = ()

    def lacking(self) -> str | None:
        return install.debian_failure()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        port, feed = machine.free_port(), machine.free_port()
        with tempfile.TemporaryDirectory(prefix="hr-peer-") as folder:
            file = Path(folder) / "configuration"
            file.write_text(self._configuration(Path(folder), port, feed))
            arguments = [each.format(file=file, folder=folder) for each in self.arguments]
            command = [*self.within, str(install.DEBIAN / self.program), *arguments]
            environment = {"LD_LIBRARY_PATH": install.libraries()}
            core = machine.cores()[0]
            async with started(self.name, command, core=core, environment=environment) as program:
                await program.listens(port)
                await program.listens(feed)
                greeted = bool(self.greeting)
                async with feeds.connected(
                    feed, self.encode, self.greeting, answered=greeted
                ) as publish:
                    yield Server(port, program.pid, publish, self.options)

    def _configuration(self, folder: Path, port: int, feed: int) -> str:
        files = machine.raise_descriptor_limit()
        return self.configuration.format(
            folder=folder,
            port=port,
            feed=feed,
            files=files,
            connections=files - 100,
            modules=install.DEBIAN / "usr/lib/nginx/modules",
        )


def _post(row: bytes) -> bytes:
    head = f"POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(row)}\r\n\r\n"
    return head.encode() + row


def _mqtt(row: bytes) -> bytes:
    body = b"\x00\x04rows" + row
    return b"\x30" + bytes((0x80 | len(body) & 0x7F, len(body) >> 7)) + body


def _nats(row: bytes) -> bytes:
    return b"PUB rows %d\r\n%b\r\n" % (len(row), row)


NCHAN = DebianPeer(
    "nchan",
    "usr/sbin/nginx",
    ("-c", "{file}", "-e", "stderr", "-p", "{folder}"),
    NGINX,
    _post,
    ("-u", "/ws"),
    within=PRIVATE_STATE,
)
MQTT = DebianPeer(
    "mosquitto",
    "usr/sbin/mosquitto",
    ("-c", "{file}"),
    MOSQUITTO,
    _mqtt,
    (
        *("--header", "Sec-WebSocket-Protocol: mqtt", "--preamble", "2"),
        *("--send-bin", r"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"),
        *("--send-bin", r"\x82\x09\x00\x01\x00\x04rows\x00"),
    ),
    greeting=b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench",
)
NATS_SERVER = DebianPeer(
    "nats",
    "usr/sbin/nats-server",
    ("-c", "{file}"),
    NATS,
    _nats,
    ("--stream", "--send-bin", r'CONNECT {"verbose":false}\r\nSUB rows 1\r\n'),
    greeting=b'CONNECT {"verbose":false}\r\n',
    joins=True,
)
