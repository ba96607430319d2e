"""`python -m worker`, which is also the command `hotspot-worker`."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line and give the exit status."""
    # What is imported stays until the end. Looking for garbage in it, while it is loaded and once
    # more at the end, is a third of the processor time of a scan that finds nothing to do.
    gc.disable()
    from worker import command_line

    gc.freeze()
    gc.enable()
    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
