"""`python -m pondera.evidence [table …]` measures tables of the documentation and prints them as Markdown.

Without a name those of docs/printed-wrong.md, with `bounds` those of docs/bounds.md (half a minute each on one
core), else the ones that are named.
"""

from __future__ import annotations

import sys

from pondera.core.errors import DomainError
from pondera.evidence.tables import TABLES, chosen


def main(names: list[str]) -> int:
    """Print the tables, a line as soon as it is known; 2 if one is unknown."""
    try:
        several = chosen(names)
    except DomainError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 2
    for place, name in enumerate(several):
        if place:
            print()
        for line in TABLES[name]():
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
