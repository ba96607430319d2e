"""`hotspot-relay migrations --to DIR`: writes the SQL of the schema out, for the Supabase CLI."""

import argparse
import sys
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parents[2]
# In a checkout they are where the Supabase CLI wants them; a wheel has them inside of a package.
_FOLDERS: Final = (_HERE / "supabase", _HERE / "emulator" / "supabase")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.description = (
        "Writes the migrations into DIR, from where `supabase db push` applies them when DIR is"
        " supabase/migrations of a linked directory. Files that are there already and equal stay."
    )
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="created if missing")


def run(options: argparse.Namespace) -> int:
    """Write the files that are missing; the exit status is 1 when one there is another one."""
    directory: Path = options.to
    files = sorted(source().glob("*.sql"))
    other = [
        file.name
        for file in files
        if (there := directory / file.name).exists() and there.read_bytes() != file.read_bytes()
    ]
    if other:
        names = ", ".join(other)
        print(f"relay migrations: not overwritten, they are other files: {names}", file=sys.stderr)
        return 1
    try:
        directory.mkdir(parents=True, exist_ok=True)
        missing = [file for file in files if not (directory / file.name).exists()]
        for file in missing:
            (directory / file.name).write_bytes(file.read_bytes())
    except OSError as exc:
        print(f"relay migrations: {directory} cannot be written: {exc.strerror}", file=sys.stderr)
        return 1
    print(f"{len(missing)} of {len(files)} migrations written to {directory}")
    return 0


def source() -> Path:
    """Return the folder that has the migrations."""
    return next(folder / "migrations" for folder in _FOLDERS if (folder / "migrations").is_dir())
