"""A demo with the samples in it, on which the blocks of the pages are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from demo.stage import DEMO_USER, mint
from tests.demo.running import Demo, demo, wait_for
from tests.docs.pages import DOCS, PROJECT

SAMPLES = ("trips.csv", "sites.csv")
PROGRAMS = ("python", "hotspot-relay", "hotspot-worker")
# Of a checkout, what commands of the pages name.
NAMED = (".env.example", "bench", "clients", "docs", "examples", "supabase")


@dataclass(frozen=True)
class Workspace:
    """A checkout as a reader has it, beside a demo that runs."""

    directory: Path
    environment: Mapping[str, str]
    demo: Demo

    def here(self, text: str) -> str:
        """The text of a block with the addresses of this demo."""
        relay = f"127.0.0.1:{self.demo.relay_port}"
        for written, there in {
            "https://relay.example.org": f"http://{relay}",
            "wss://relay.example.org": f"ws://{relay}",
            "127.0.0.1:8003": relay,
            "localhost:8003": relay,
            "127.0.0.1:8010": f"127.0.0.1:{self.demo.emulator_port}",
        }.items():
            text = text.replace(written, there)
        return text

    def change_a_hotspot(self) -> None:
        """Has something to tell for whoever follows."""
        key = self.environment["SUPABASE_SECRET_KEY"]
        reply = httpx.patch(
            f"{self.environment['SUPABASE_URL']}/rest/v1/hotspots?entity=eq.Acme%20Haulage",
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            json={"reason": f"at {time.time()}"},
            trust_env=False,
        )
        reply.raise_for_status()


def private_jwk() -> str:
    """A private key as `supabase gen signing-key` prints it."""
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(key, as_dict=True)
    more = {"kid": str(uuid.uuid4()), "alg": "ES256", "use": "sig", "key_ops": ["sign", "verify"]}
    return json.dumps(jwk | more)


@pytest.fixture(scope="session")
def workspace(
    tmp_path_factory: pytest.TempPathFactory, private_directory: Callable[[], Path]
) -> Iterator[Workspace]:
    data = private_directory()
    directory = tmp_path_factory.mktemp("checkout")
    programs = directory / ".venv/bin"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {Path(sys.executable).with_name(name)} "$@"\n')
        program.chmod(0o755)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    for name in NAMED:
        (directory / name).symlink_to(PROJECT / name)
    (directory / ".emulator").symlink_to(data)
    trips = (DOCS / "samples/trips.csv").read_text().splitlines()
    (directory / "my-events.csv").write_text("\n".join(trips) + "\n")
    labels = ["fault", *[""] * (len(trips) - 2), "detour"]
    labelled = [f"{line},{label}" for line, label in zip(trips, labels, strict=True)]
    (directory / "my-year.csv").write_text("\n".join(labelled) + "\n")
    (directory / "signing-key.json").write_text(private_jwk())
    try:
        with demo(data, "--no-feed") as running:
            running.wait_line("ready")
            environment = {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(directory),
                "NO_PROXY": "*",
                "PORT": str(running.relay_port),
                **running.variables(),
            }
            for name in SAMPLES:
                command = [str(programs / "hotspot-worker"), "ingest", str(DOCS / "samples" / name)]
                subprocess.run(command, env=environment, check=True, capture_output=True)
            wait_for(
                lambda: bool(httpx.get(f"{running.relay}/hotspots", trust_env=False).json()),
                100,
                "the samples have a hotspot",
            )
            secret = environment["SUPABASE_JWT_SECRET"]
            environment["RELAY_TOKEN"] = mint(secret, "authenticated", DEMO_USER)
            environment["EVENT_WRITER_TOKEN"] = mint(secret, "event_writer")
            yield Workspace(directory, environment, running)
    finally:
        shutil.rmtree(data)
