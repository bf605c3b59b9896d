"""The command `pondera`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without its packages, say how to install them."""
    try:
        from pondera.cli.app import run
    except ModuleNotFoundError as fault:
        if fault.name not in ("rich", "typer"):
            raise
        sys.stderr.write(
            f"error: the command needs {fault.name}, which is not installed. "
            "Run: pip install 'pondera[cli]'\n"
        )
        sys.exit(2)
    run()
