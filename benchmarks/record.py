"""Results as named JSON files: theme, machine and date in the name; commit, versions and command inside."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
_PACKAGES = ("numpy", "torch", "jax", "keras", "scikit-learn", "pondera")


def write_result(theme: str, measured: dict[str, Any]) -> Path:
    """Write one result; an earlier one of the same day is replaced, older ones stay."""
    today = datetime.date.today().isoformat()
    record = {
        "theme": theme,
        "date": today,
        "commit": _commit(),
        "command": f"python -m benchmarks.{theme}",
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version(), **_versions()},
        "measured": measured,
    }
    slug = re.sub(r"[^a-z0-9]+", "-", _cpu().lower()).strip("-")[:40]
    path = FOLDER / f"{theme}_{slug}_{today}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(path.read_text(encoding="utf-8"))
    return path


def newest(theme: str) -> dict[str, Any]:
    """The newest committed result of a theme."""
    paths = sorted(FOLDER.glob(f"{theme}_*.json"), key=lambda path: path.stem.rsplit("_", 1)[1])
    return json.loads(paths[-1].read_text(encoding="utf-8"))


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _cpu() -> str:
    try:
        for row in Path("/proc/cpuinfo").read_text().splitlines():
            if row.startswith("model name"):
                return row.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = dict[str, str]()
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
