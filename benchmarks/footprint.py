"""What Pondera costs before it does anything: import time, and time and memory of the default study.

Protocol: 20 warm processes each, interleaved, median and quartiles of the time between the first and the last
statement; the peer of `import pondera` is `import numpy` in the same run. The study runs once, in a child
process whose peak resident memory (with its workers', added up every 50 ms) is read from the system.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.record import write_result

PROCESSES = 20
_TIMED = "import time; a = time.perf_counter(); import {what}; print(time.perf_counter() - a)"


def import_seconds(what: str) -> float:
    """Seconds that one fresh process takes for an import."""
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(what=what)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure_imports() -> dict[str, dict[str, float]]:
    cases = {"numpy": "numpy", "numpy and pondera": "numpy, pondera", "pondera": "pondera"}
    cases["numpy and pondera.numpy"] = "numpy, pondera.numpy"
    times = {case: [] for case in cases}
    for what in cases.values():
        import_seconds(what)  # warm the file cache
    for _ in range(PROCESSES):
        for case, what in cases.items():
            times[case].append(import_seconds(what))
    return {case: _spread([1000 * t for t in ts]) for case, ts in times.items()}


def measure_study() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "pondera", "study", "--out", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = [0.0]
        watcher = threading.Thread(target=_watch, args=(child, peak))
        watcher.start()
        if child.wait() != 0:
            raise AssertionError("the default study failed")
        watcher.join()
        seconds = time.perf_counter() - begun
        result = json.loads(Path(folder, "study.json").read_text(encoding="utf-8"))
        page = Path(folder, "study.html").stat().st_size
    if result["answer"]["winner"] is None:
        raise AssertionError("the default study has no answer")
    keys = ("title", "law", "rate", "median", "low", "high", "coverage")
    return {
        "race": {arm: {k: e[k] for k in keys} for arm, e in result["race"].items()},
        "headline": result["answer"]["headline"],
        "seconds": seconds,
        "runs": result["times"]["runs"],
        "peak_mib": peak[0],
        "page_mib": page / 2**20,
    }


def _watch(child: subprocess.Popen[bytes], peak: list[float]) -> None:
    """Peak of the proportional memory of the child and all its descendants, in MiB."""
    while child.poll() is None:
        peak[0] = max(peak[0], sum(_resident(pid) for pid in _family(child.pid)))
        time.sleep(0.05)


def _family(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [pid, *(p for child in text.split() for p in _family(int(child)))]


def _resident(pid: int) -> float:
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def _spread(numbers: list[float]) -> dict[str, float]:
    low, _, high = quantiles(numbers, n=4)
    return {"median": median(numbers), "lower_quartile": low, "upper_quartile": high}


def main() -> None:
    imports = measure_imports()
    extra = imports["numpy and pondera"]["median"] - imports["numpy"]["median"]
    result = {"imports_ms": imports, "import_over_numpy_ms": extra}
    if os.path.exists("/proc/self/smaps_rollup"):
        result["study"] = measure_study()
    write_result("footprint", result)


if __name__ == "__main__":
    main()
