"""The relay behind TLS: its own, and that of the proxies as docs/deploy/ sets them up."""

import argparse
import asyncio
import datetime
import logging
import os
import re
import shutil
import socket
import ssl
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from emulator.running import Emulator
from relay import server
from relay.cli import check, disconnect, tail
from tests.relay.access.admission import USER, token_of
from tests.relay.clients import Tables, change, frame, greeted, live_relay, relay_of

PAGES = Path(__file__).parents[3] / "docs/deploy"
SECONDS = 30.0


@dataclass(frozen=True)
class Certificate:
    """Of localhost, signed by itself."""

    file: Path
    key: Path

    def trusted(self) -> ssl.SSLContext:
        """What a client needs to believe it."""
        return ssl.create_default_context(cafile=str(self.file))


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    )
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    made.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made


def snippet(language: str, page: str = "proxies.md") -> str:
    """The page's configuration for that proxy."""
    text = (PAGES / page).read_text()
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


class Proxy(Protocol):
    __name__: str

    def __call__(
        self, relay: str, port: int, certificate: Certificate, place: Path, second: str = ""
    ) -> list[str]: ...


def nginx(
    relay: str, port: int, certificate: Certificate, place: Path, second: str = ""
) -> list[str]:
    """The command that serves as the pages say, with a `second` relay as the one of several says;
    the snippets alone decide what is forwarded."""
    server = snippet("nginx")
    if second:
        relays = snippet("nginx", "scaling.md").replace("127.0.0.1:8004", second)
        server = relays + server.replace("http://127.0.0.1:8003", "http://relays")
    for written, here in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/relay.pem": str(certificate.file),
        "/etc/ssl/relay.key": str(certificate.key),
        "/var/log/nginx/relay.log": str(place / "access.log"),
        "127.0.0.1:8003": relay,
    }.items():
        assert written in server
        server = server.replace(written, here)
    paths = "".join(
        f"{name}_temp_path {place};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = place / "nginx.conf"
    file.write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log;\nevents {{}}\n"
        f"http {{\n{paths}{server}}}\n"
    )
    return ["nginx", "-e", f"{place}/error.log", "-c", str(file)]


def caddy(
    relay: str, port: int, certificate: Certificate, place: Path, second: str = ""
) -> list[str]:
    """The command that serves as the pages say."""
    options, site = snippet("caddy").split("\n}\n\n", 1)
    if second:
        site = snippet("caddy", "scaling.md").replace("127.0.0.1:8004", second)
    address, tls = f"https://localhost:{port}", f"tls {certificate.file} {certificate.key}"
    for written, here in {
        "relay.example.org {": f"{address} {{\n    bind 127.0.0.1\n    {tls}",
        "127.0.0.1:8003": relay,
    }.items():
        assert written in site
        site = site.replace(written, here)
    file = place / "Caddyfile"
    file.write_text(f"{options}\n    admin off\n    auto_https disable_redirects\n}}\n\n{site}")
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


@asynccontextmanager
async def running(command: list[str], port: int, place: Path) -> AsyncIterator[None]:
    """The proxy, from its first answer to the end of the block."""
    environment = {"HOME": str(place), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    with (place / "stderr.log").open("w") as said:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=DEVNULL, stderr=said, env=environment
        )
    try:
        await listening(process, port)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def listening(process: asyncio.subprocess.Process, port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert process.returncode is None
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


def logs(place: Path) -> list[str]:
    return [log.read_text() for log in place.glob("*.log")]


def address_of_this_machine() -> str:
    """Another one than loopback, which no header may name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # which sends nothing
        except OSError:
            pytest.skip("this machine has no address but that of loopback")
        return str(asked.getsockname()[0])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_the_relay_serves_wss_with_a_certificate_of_its_own(
    emulator: Emulator, tables: Tables, certificate: Certificate
) -> None:
    files = {"RELAY_TLS_CERT": str(certificate.file), "RELAY_TLS_KEY": str(certificate.key)}
    async with asyncio.timeout(SECONDS):
        async with (
            relay_of(emulator, **files) as relay,
            connect(
                f"wss://{relay.host}/ws/hotspots",
                subprotocols=[Subprotocol("relay.v1")],
                ssl=certificate.trusted(),
                proxy=None,
            ) as client,
        ):
            await greeted(client)
            rows = [tables.hotspot() for _ in range(100)]
            assert [(await change(client))["record"]["id"] for _ in rows] == rows


async def test_the_terminal_says_that_a_certificate_is_not_trusted_and_how_it_becomes_so(
    emulator: Emulator,
    certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = {"RELAY_TLS_CERT": str(certificate.file), "RELAY_TLS_KEY": str(certificate.key)}
    secret = {"SUPABASE_SECRET_KEY": emulator.keys.secret}
    monkeypatch.setenv("RELAY_TOKEN", token_of(emulator))
    async with relay_of(emulator, **files) as relay:
        at = ["--url", f"wss://{relay.host}"]
        cut = ["disconnect", "--user", USER, "--url", f"https://{relay.host}"]
        for command in (["check", *at], ["tail", "hotspots", *at], cut):
            assert await terminal(*command, **secret) == 1
            said = "".join(capsys.readouterr())
            assert "not trusted (self-signed certificate)" in said
            assert "SSL_CERT_FILE" in said
            assert "python -m relay" not in said
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        assert await terminal("check", *at, **secret) == 0
        capsys.readouterr()
        assert await terminal(*cut, **secret) == 1  # that is answered: nobody is there
        assert "nothing was ended" in capsys.readouterr().err


async def test_the_terminal_says_which_address_fits_where_tls_is_or_is_not(
    emulator: Emulator, certificate: Certificate, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"RELAY_TLS_CERT": str(certificate.file), "RELAY_TLS_KEY": str(certificate.key)}
    secret = {"SUPABASE_SECRET_KEY": emulator.keys.secret}
    async with relay_of(emulator, **files) as secure, relay_of(emulator) as plain:
        for scheme, host, fits in (
            ("ws", secure.host, f"wss://{secure.host}"),
            ("wss", plain.host, f"ws://{plain.host}"),
        ):
            assert await terminal("check", "--url", f"{scheme}://{host}") == 1
            said = capsys.readouterr().out.splitlines()
            assert all("TLS" in line and line.endswith(fits) for line in said), said
        url = f"http://{secure.host}"
        assert await terminal("disconnect", "--session", "s", "--url", url, **secret) == 1
        assert f"it wants TLS; use --url https://{secure.host}" in capsys.readouterr().err


async def terminal(*arguments: str, **env: str) -> int:
    """The exit status of that command of the relay's."""
    parser, token = argparse.ArgumentParser(), os.environ.get("RELAY_TOKEN")
    commands = parser.add_subparsers(dest="command")
    for command in (check, tail, disconnect):
        command.configure(commands.add_parser(command.__name__.rpartition(".")[2]), {})
    options = parser.parse_args(arguments)
    if options.command == "disconnect":
        return await disconnect.run(options, env)
    if options.command == "check":
        return await check.run(options, token)
    return await tail.run(options, token)


async def test_silent_connections_of_one_address_do_not_hold_up_a_newcomer(
    emulator: Emulator, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_OPENING", 100)
    monkeypatch.setattr(server, "HANDSHAKE_SECONDS", 3600.0)
    address = address_of_this_machine()
    variables = {
        "RELAY_TLS_CERT": str(certificate.file),
        "RELAY_TLS_KEY": str(certificate.key),
        "RELAY_MAX_PER_ADDRESS": "20",
    }
    async with asyncio.timeout(SECONDS), relay_of(emulator, **variables) as relay:
        host, _, port = relay.host.rpartition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(300)]
        try:
            async with connect(
                f"wss://{relay.host}/ws/hotspots",
                local_addr=(address, 0),
                subprotocols=[Subprotocol("relay.v1")],
                ssl=certificate.trusted(),
                proxy=None,
            ) as client:
                await greeted(client)
        finally:
            for each in silent:
                each.close()


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_a_proxy_that_is_set_up_as_documented_carries_the_relay(
    emulator: Emulator,
    tables: Tables,
    certificate: Certificate,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    proxy: Proxy,
) -> None:
    if shutil.which(proxy.__name__, path="/usr/sbin:/usr/bin") is None:
        pytest.skip(f"{proxy.__name__} is not installed")
    caplog.set_level(logging.INFO)
    variables = {"RELAY_AUTH": "required", "RELAY_TRUSTED_PROXIES": "127.0.0.1"}
    port, headers = free_port(), {"Authorization": f"Bearer {token_of(emulator)}"}
    address = address_of_this_machine()

    def through(**options: str) -> connect:
        return connect(
            f"wss://localhost:{port}/ws/hotspots?token={token_of(emulator)}",
            host="127.0.0.1",
            local_addr=(address, 0),
            subprotocols=[Subprotocol("relay.v1")],
            ssl=certificate.trusted(),
            additional_headers=headers
            | dict.fromkeys(("X-Forwarded-For", "X-Real-IP"), "203.0.113.9")
            | {"Forwarded": f"for={options.get('forwarded', '127.0.0.1')}"},
            origin=Origin(options.get("origin", f"https://localhost:{port}")),
            proxy=None,
        )

    async with asyncio.timeout(SECONDS), live_relay(emulator, **variables) as relay:
        command = proxy(relay.host, port, certificate, tmp_path)
        async with running(command, port, tmp_path):
            async with through() as client:
                assert (await frame(client))["type"] == "hello"
                await greeted(client)
                row = tables.hotspot()
                assert (await change(client))["record"]["id"] == row
            with pytest.raises(InvalidStatus) as refused:
                await through(origin="https://evil.example")
            assert refused.value.response.status_code == 403
    assert f"connected client={address}:" in caplog.text
    assert "203.0.113.9" not in caplog.text
    assert "client=127.0.0.1" not in caplog.text
    assert not [log for log in logs(tmp_path) if "token" in log]


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_a_proxy_whose_relays_are_away_logs_no_token(
    certificate: Certificate, tmp_path: Path, proxy: Proxy, several: bool
) -> None:
    if shutil.which(proxy.__name__, path="/usr/sbin:/usr/bin") is None:
        pytest.skip(f"{proxy.__name__} is not installed")
    port, away = free_port(), [f"127.0.0.1:{free_port()}" for _ in range(2)]
    command = proxy(away[0], port, certificate, tmp_path, second=away[1] if several else "")
    async with asyncio.timeout(SECONDS), running(command, port, tmp_path):
        for _ in range(3):
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    f"wss://localhost:{port}/ws/hotspots?token=in-the-query",
                    host="127.0.0.1",
                    subprotocols=[Subprotocol("relay.v1"), Subprotocol("bearer.in-the-protocol")],
                    ssl=certificate.trusted(),
                    proxy=None,
                )
            assert refused.value.response.status_code in (502, 503)
    said = "".join(logs(tmp_path))
    assert "/ws/hotspots" in said  # the failure itself is told
    assert "in-the-" not in said


@pytest.mark.parametrize("proxy", [nginx, caddy])
async def test_two_relays_behind_a_proxy_share_its_clients(
    emulator: Emulator, certificate: Certificate, tmp_path: Path, proxy: Proxy
) -> None:
    if shutil.which(proxy.__name__, path="/usr/sbin:/usr/bin") is None:
        pytest.skip(f"{proxy.__name__} is not installed")
    variables = {"RELAY_AUTH": "required", "RELAY_TRUSTED_PROXIES": "127.0.0.1"}
    port = free_port()

    def client() -> connect:
        return connect(
            f"wss://localhost:{port}/ws/hotspots?token={token_of(emulator)}",
            host="127.0.0.1",
            subprotocols=[Subprotocol("relay.v1")],
            ssl=certificate.trusted(),
            proxy=None,
        )

    async with (
        asyncio.timeout(SECONDS),
        live_relay(emulator, **variables) as one,
        live_relay(emulator, **variables) as other,
    ):
        command = proxy(one.host, port, certificate, tmp_path, second=other.host)
        async with running(command, port, tmp_path), client() as first, client() as second:
            await greeted(first)
            await greeted(second)
            async with httpx.AsyncClient(trust_env=False) as http:
                told = [
                    (await http.get(f"http://{relay.host}/readyz")).json()["clients"]
                    for relay in (one, other)
                ]
    assert told == [1, 1]
