"""Draws against PyTorch's and NumPy's own, in nanoseconds per element.

Protocol: numbers are compared with core's before anything is timed. Then 20 interleaved repeats after one
untimed turn; median, quartiles and least. 64 Mi elements (256 MiB in float32) into memory that has been written
before; all threads that the process may use, for us and for PyTorch; NumPy draws on one. Levels are compared on
4 Mi elements, one after the other. A shard is columns of a row-major 8192 × 8192 float32 tensor. Work per call:
elements × bytes of the dtype, written once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.record import write_result
from benchmarks.timing import interleaved, load, ratio, spread
from pondera.core import draw as meaning
from pondera.core.recipes import normal_recipe, truncated_recipe, uniform_recipe
from pondera.kernel import fill, fill_block, kernel_info, library, pool

SIDE = 8192
ELEMENTS, FEWER = SIDE * SIDE, 2**22
REPEATS = 20
STD = 0.02
RECIPES = {
    "uniform": uniform_recipe(-STD, STD),
    "normal": normal_recipe(STD),
    "truncated": truncated_recipe(STD),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STREAM = {"seed": 0, "name": "w"}
Case = Callable[[], Any]


def ours(out: torch.Tensor, law: str) -> Case:
    dtype = str(out.dtype).removeprefix("torch.")
    given = {"recipe": RECIPES[law], "dtype": dtype, **STREAM}
    return lambda: fill(out.data_ptr(), 0, out.numel(), **given)


def theirs(out: torch.Tensor, law: str) -> Case:
    cut = {"a": -2 * STD, "b": 2 * STD}
    return {
        "uniform": lambda: torch.nn.init.uniform_(out, -STD, STD),
        "normal": lambda: torch.nn.init.normal_(out, 0.0, STD),
        "truncated": lambda: torch.nn.init.trunc_normal_(out, 0.0, STD, **cut),
    }[law]


def numpy_s(out: np.ndarray, law: str) -> Case:
    generator = np.random.Generator(np.random.Philox(0))
    return {
        "uniform": lambda: generator.random(out=out, dtype=np.float32),
        "normal": lambda: generator.standard_normal(out=out, dtype=np.float32),
    }[law]


def check(out: torch.Tensor, law: str) -> None:
    """The numbers of a fill are core's: at both ends and at some tiles between."""
    ours(out, law)()
    for start in (0, 1, 4099, out.numel() // 2 - 7, out.numel() - 1000):
        expected = meaning.draw(start, 1000, recipe=RECIPES[law], **STREAM)
        found = out[start : start + 1000]
        if not torch.equal(found, torch.from_numpy(expected).to(out.dtype)[: len(found)]):
            raise AssertionError(f"{law} in {out.dtype} is not core's")


def measure_against_peers() -> dict[str, Any]:
    measured = {}
    for name, dtype in DTYPES.items():
        out = torch.empty(ELEMENTS, dtype=dtype)
        cases = {"write once: torch fill_": lambda out=out: out.fill_(STD)}
        for law in RECIPES:
            check(out, law)
            cases |= {f"pondera {law}": ours(out, law), f"torch {law}": theirs(out, law)}
            if name == "float32" and law != "truncated":
                cases[f"numpy Philox {law}"] = numpy_s(out.numpy(), law)
        seconds = interleaved(cases, REPEATS)
        measured[name] = {
            "ns_per_element": {c: spread(s, 1e9 / ELEMENTS) for c, s in seconds.items()},
            "times_as_fast_as_torch": {
                law: ratio(seconds[f"pondera {law}"], seconds[f"torch {law}"]) for law in RECIPES
            },
            "share_of_the_speed_of_one_write": {
                law: ratio(seconds[f"pondera {law}"], seconds["write once: torch fill_"])
                for law in RECIPES
            },
        }
    return measured


def measure_levels() -> dict[str, Any]:
    """Every level that runs here, and NumPy, on one thread and on all."""
    measured, out = {}, torch.empty(FEWER)
    found = library.levels(library.running().library)
    for level in found:
        for threads in (1, None) if level != "numpy" else (1,):
            os.environ[library.VARIABLE] = level
            library.running.cache_clear()
            pool.use_threads(threads)
            for law in RECIPES:
                check(out, law)
            repeats = REPEATS if level != "numpy" else 3
            seconds = interleaved({law: ours(out, law) for law in RECIPES}, repeats)
            key = f"{level}, {kernel_info().threads} threads"
            measured[key] = {law: spread(s, 1e9 / FEWER) for law, s in seconds.items()}
    del os.environ[library.VARIABLE]
    library.running.cache_clear()
    return measured


def measure_shards() -> dict[str, Any]:
    """Columns of a tensor, and all of it: the cost per element that is made."""
    cases, sizes = {}, {}
    for columns in (SIDE, 1024, 64, 4):
        name = f"{columns} of {SIDE} columns"
        out, size = np.zeros((SIDE, columns), np.float32), (SIDE, columns)
        given = {"shape": (SIDE, SIDE), "offset": (0, SIDE - columns), "size": size}
        given |= {"recipe": RECIPES["normal"], **STREAM}
        cases[name], sizes[name] = lambda out=out, given=given: fill_block(out, **given), out.size
    seconds = interleaved(cases, REPEATS)
    return {name: spread(s, 1e9 / sizes[name]) for name, s in seconds.items()}


def main() -> None:
    before = load()
    info = kernel_info()
    measured = {
        "kernel": {"level": info.level, "threads": info.threads},
        "against_peers_64_Mi": measure_against_peers(),
        "normal_float32_shards_ns_per_element": measure_shards(),
        "levels_4_Mi_float32_ns_per_element": measure_levels(),
        "load_before": before,
        "load_after": load(),
        "note": "Loads above the benchmark's own threads mean that others shared the machine: "
        "trust ratios of the least times more than medians.",
    }
    write_result("draws", measured)


if __name__ == "__main__":
    main()
