"""Fetches the peers: npm packages beside their scripts, Debian's into a folder of their own."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).parent
JAVASCRIPT = HERE / "peers" / "js"
DEBIAN = HERE / ".peers" / "debian"
SERVERS = ("nginx", "libnginx-mod-nchan", "nats-server", "mosquitto")
# With the libraries of theirs that a bare system lacks.
DEBIAN_PACKAGES = (
    *SERVERS,
    *("libcjson1", "libdlt2", "libwebsockets17", "libwrap0", "libnsl2", "libtirpc3"),
)
SECONDS = 300


@functools.cache
def npm_failure() -> str | None:
    """Install what the lock file names, unless it is there; what went wrong, None if nothing."""
    lock = JAVASCRIPT / "package-lock.json"
    done = JAVASCRIPT / "node_modules" / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return None
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    return _failure(command, JAVASCRIPT)


@functools.cache
def debian_failure() -> str | None:
    """Download and unpack Debian's packages without installing them; what went wrong."""
    done = DEBIAN / "done"
    if done.exists() and done.read_text() == " ".join(DEBIAN_PACKAGES):
        return None
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return "apt-get and dpkg are not there"
    DEBIAN.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-q", *DEBIAN_PACKAGES]
    failure = _failure(download, DEBIAN)
    if failure is not None and os.geteuid() == 0:  # perhaps it has no lists yet
        failure = _failure(["apt-get", "update", "-qq"], DEBIAN) or _failure(download, DEBIAN)
    if failure is not None:
        return failure
    for package in DEBIAN.glob("*.deb"):
        name, version, _ = package.name.split("_")
        (DEBIAN / f"{name}.version").write_text(unquote(version))
        if (failure := _failure(["dpkg", "-x", package.name, "."], DEBIAN)) is not None:
            return failure
        package.unlink()
    done.write_text(" ".join(DEBIAN_PACKAGES))
    return None


def debian_versions() -> dict[str, str]:
    """The versions of the servers that were unpacked."""
    found = {path.stem: path.read_text() for path in DEBIAN.glob("*.version")}
    return {name: found[name] for name in SERVERS if name in found}


def libraries() -> str:
    """The folders of the unpacked libraries, for LD_LIBRARY_PATH."""
    folders = {library.parent for library in DEBIAN.glob("**/*.so*")}
    return ":".join(sorted(map(str, folders)))


def _failure(command: list[str], cwd: Path) -> str | None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as exc:
        return f"{command[0]}: {exc}"
    if done.returncode == 0:
        return None
    lines = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()
    return f"{command[0]}: {lines[-1][:200]}"
