"""README's tables, made of the newest benchmark results: `python -m tools.readme`; `--check` compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from benchmarks.record import newest

README = Path(__file__).parent.parent / "README.md"


def readme_text(text: str) -> str:
    """The README with its marked parts made anew."""
    record = newest("footprint")
    for name, part in (("demo", demo_table(record)), ("numbers", numbers_table(record))):
        pattern = rf"<!-- {name} -->.*?<!-- /{name} -->"
        text, count = re.subn(
            pattern, lambda _, n=name, p=part: f"<!-- {n} -->\n{p}\n<!-- /{n} -->", text, flags=re.S
        )
        if count != 1:
            raise AssertionError(f"README.md needs one part marked {name!r}; found {count}")
    return text


def demo_table(record: dict[str, Any]) -> str:
    """Test accuracy of each start in the default study."""
    rows = [
        "| start | learning rate | test accuracy | interval of the median |",
        "|---|---|---|---|",
    ]
    for entry in record["measured"]["study"]["race"].values():
        rate = "–" if entry["rate"] is None else f"{entry['rate']:g}"
        if entry["median"] is None:
            rows.append(f"| {entry['title']} | {rate} | diverged | |")
            continue
        rows.append(
            f"| {entry['title']} | {rate} | {entry['median']:.1%} "
            f"| {entry['low']:.1%} to {entry['high']:.1%} ({entry['coverage']:.1%}) |"
        )
    return "\n".join(rows)


def numbers_table(record: dict[str, Any]) -> str:
    """Time, memory and import."""
    measured = record["measured"]
    study, extra = measured["study"], measured["import_over_numpy_ms"]
    machine = f"{record['machine']['cpu']}, {record['machine']['cores']} cores"
    return "\n".join(
        [
            f"Measured on {record['date']}, {machine}; `python -m benchmarks.footprint`.",
            "",
            "| what | measured |",
            "|---|---|",
            f"| `make demo` after installation, {study['runs']} training runs | {study['seconds']:.0f} s |",
            f"| its peak memory, all processes | {study['peak_mib']:.0f} MiB |",
            f"| its page | {study['page_mib']:.1f} MiB |",
            f"| `import pondera` over `import numpy`, median of 20 warm processes | {extra:.1f} ms |",
        ]
    )


def main() -> None:
    """Write, or compare."""
    old = README.read_text(encoding="utf-8")
    new = readme_text(old)
    if "--check" in sys.argv:
        sys.exit(0 if new == old else "README.md is stale: run python -m tools.readme")
    README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
