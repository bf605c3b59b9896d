"""How cases are timed: warmed up, interleaved, so that a disturbance strikes all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import Any


def interleaved(cases: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each repeat of each case, in turns; one untimed turn goes before."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(-1, repeats):
        for name, run in cases.items():
            begun = time.perf_counter()
            run()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def spread(numbers: list[float], factor: float = 1.0) -> dict[str, float]:
    """Median, quartiles and least, each times `factor`, to four digits."""
    low, _, high = quantiles(numbers, n=4)
    found = {
        "median": median(numbers),
        "lower_quartile": low,
        "upper_quartile": high,
        "least": min(numbers),
    }
    return {name: float(f"{factor * number:.4g}") for name, number in found.items()}


def ratio(ours: list[float], peer: list[float]) -> dict[str, float]:
    """Peer over ours: how many times as fast ours is, by medians and by the undisturbed (least) times."""
    return {
        "median": float(f"{median(peer) / median(ours):.4g}"),
        "least": float(f"{min(peer) / min(ours):.4g}"),
    }


def load() -> dict[str, float]:
    """How busy the machine is: processes that want to run, over the last 1 and 5 minutes."""
    one, five, _ = os.getloadavg()
    return {"1_min": round(one, 2), "5_min": round(five, 2)}
