"""`python -m benchmarks [theme …]`: the named benchmarks, or all, one after the other."""

from __future__ import annotations

import sys
from importlib import import_module

THEMES = ("draws", "draws_jax", "footprint", "steps")


def main(names: list[str]) -> int:
    """Run them; 2 if a name is none of the themes."""
    strangers = sorted(set(names) - set(THEMES))
    if strangers:
        sys.stderr.write(f"error: no benchmark {strangers[0]!r}. Known: {', '.join(THEMES)}.\n")
        return 2
    for theme in names or THEMES:
        import_module(f"benchmarks.{theme}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
