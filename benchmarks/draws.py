"""Draws against PyTorch's and NumPy's own, in nanoseconds per element.

Protocol: numbers are compared with core's before anything is timed. Then 20 interleaved repeats after one
untimed turn; median, quartiles and least. 64 Mi elements (256 MiB in float32) into memory that has been written
before; all threads that the process may use, for us and for PyTorch; NumPy draws on one. Levels are compared on
4 Mi elements, one after the other. A shard is columns of a row-major 8192 × 8192 float32 tensor. Work per call:
elements × bytes of the dtype, written once.

A model is the parameters of GPT-2 small, by `pondera.torch` and by `torch.nn.init`, whose names are new in each
repeat; a small tensor is filled 2000 times to a repeat, under one name and under new ones. Fresh memory has
never been written: each repeat allocates. Orthogonal matrices are float32, 5 repeats, with a pause before each
of ours: PyTorch's threads keep a processor busy for some milliseconds after their work. A first call is timed
in a process of its own, as are imports.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.record import write_result
from benchmarks.timing import interleaved, load, ratio, spread
from pondera import numpy as pn
from pondera import torch as pt
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
    for columns in (SIDE, 1024, 64, 16, 4, 1):
        name = f"{columns} of {SIDE} columns"
        out, size = np.zeros((SIDE, columns), np.float32), (SIDE, columns)
        given = {"shape": (SIDE, SIDE), "offset": (0, SIDE - columns), "size": size}
        given |= {"recipe": RECIPES["normal"], **STREAM}
        cases[name], sizes[name] = lambda out=out, given=given: fill_block(out, **given), out.size
    seconds = interleaved(cases, REPEATS)
    return {name: spread(s, 1e9 / sizes[name]) for name, s in seconds.items()}


# --- whole models, small tensors, fresh memory, orthogonal matrices, first calls ---

WIDTH, LAYERS, VOCABULARY, PLACES = 768, 12, 50257, 1024
SMALL = (64, 256, 1024, 4096, 16384)
CALLS = 2000
SQUARES = ((1024, 1024), (4096, 1024), (4096, 4096))
PAUSE = 0.05
_NAMES = map("layers.{}.weight".format, itertools.count())
_FIRST = "import time, {imports}; a = time.perf_counter(); {call}; print(time.perf_counter() - a)"
FIRST_CALLS = {
    "import numpy": ("sys", "import numpy"),
    "import pondera.numpy after numpy": ("numpy", "import pondera.numpy"),
    "import pondera.torch after torch": ("torch", "import pondera.torch"),
    "pondera.numpy.normal, 64": (
        "pondera.numpy as pn",
        "pn.normal((64,), std=1.0, seed=0, name='w')",
    ),
    "pondera.torch.normal_, 64": (
        "torch, pondera.torch as pt; x = torch.empty(64)",
        "pt.normal_(x, std=1.0, seed=0, name='w')",
    ),
    "torch.nn.init.normal_, 64": ("torch; x = torch.empty(64)", "torch.nn.init.normal_(x)"),
}


def gpt2() -> dict[str, tuple[int, ...]]:
    """Shapes of GPT-2 small's parameters, stored as PyTorch's Linear does."""
    block = {"attn": (3 * WIDTH, WIDTH), "proj": (WIDTH, WIDTH)}
    block |= {"up": (4 * WIDTH, WIDTH), "down": (WIDTH, 4 * WIDTH)}
    shapes: dict[str, tuple[int, ...]] = {"wte": (VOCABULARY, WIDTH), "wpe": (PLACES, WIDTH)}
    for layer in range(LAYERS):
        for name, shape in block.items():
            shapes[f"h.{layer}.{name}.weight"] = shape
            shapes[f"h.{layer}.{name}.bias"] = shape[:1]
        shapes |= {f"h.{layer}.norm{i}.{part}": (WIDTH,) for i in (1, 2) for part in ("w", "b")}
    return shapes | {"norm.w": (WIDTH,), "norm.b": (WIDTH,)}


def measure_model() -> dict[str, Any]:
    parameters = {name: torch.zeros(shape) for name, shape in gpt2().items()}
    weights = {name: p for name, p in parameters.items() if p.ndim > 1}
    rest = [p for p in parameters.values() if p.ndim == 1]
    turn = itertools.count()

    def by_pondera(fill: Callable[..., Any], **given: Any) -> None:
        prefix = next(turn)
        for name, p in weights.items():
            fill(p, seed=0, name=f"{prefix}.{name}", std=STD, **given)
        for p in rest:
            pt.zeros_(p, seed=0, name="b")

    def by_torch(fill: Callable[..., Any], *given: float) -> None:
        for p in weights.values():
            fill(p, 0.0, STD, *given)
        for p in rest:
            torch.nn.init.zeros_(p)

    cases = {
        "pondera normal": lambda: by_pondera(pt.normal_),
        "torch normal": lambda: by_torch(torch.nn.init.normal_),
        "pondera truncated": lambda: by_pondera(pt.truncated_normal_, cut=2.0),
        "torch truncated": lambda: by_torch(torch.nn.init.trunc_normal_, -2 * STD, 2 * STD),
    }
    seconds = interleaved(cases, 5)
    return {
        "parameters": sum(p.numel() for p in parameters.values()),
        "ms": {case: spread(s, 1e3) for case, s in seconds.items()},
        "times_as_fast_as_torch": {
            law: ratio(seconds[f"pondera {law}"], seconds[f"torch {law}"])
            for law in ("normal", "truncated")
        },
    }


def measure_small() -> dict[str, Any]:
    """Microseconds per fill."""
    measured: dict[str, Any] = {}
    for count in SMALL:
        out = torch.zeros(count)
        cases: dict[str, Case] = {
            "pondera normal": lambda out=out: pt.normal_(out, std=STD, **STREAM),
            "pondera normal, new names": lambda out=out: pt.normal_(
                out, std=STD, seed=0, name=next(_NAMES)
            ),
            "pondera uniform": lambda out=out: pt.uniform_(out, low=-STD, high=STD, **STREAM),
            "torch.nn.init.normal_": lambda out=out: torch.nn.init.normal_(out, 0.0, STD),
            "torch.nn.init.uniform_": lambda out=out: torch.nn.init.uniform_(out, -STD, STD),
            "tensor.normal_": lambda out=out: out.normal_(0.0, STD),
        }
        seconds = interleaved({case: _often(run) for case, run in cases.items()}, REPEATS)
        measured[str(count)] = {case: spread(s, 1e6 / CALLS) for case, s in seconds.items()}
        measured[str(count)]["times_as_fast_as_torch.nn.init"] = {
            law: ratio(seconds[f"pondera {law}"], seconds[f"torch.nn.init.{law}_"])
            for law in ("normal", "uniform")
        }
    return measured


def _often(run: Case) -> Case:
    def turns() -> None:
        for _ in range(CALLS):
            run()

    return turns


def measure_fresh() -> dict[str, Any]:
    """Nanoseconds per element of 64 Mi float32 in memory that the process has just been given."""
    cases: dict[str, Case] = {
        "torch.empty, fill_": lambda: torch.empty(ELEMENTS).fill_(STD),
        "torch.empty, pondera normal": lambda: pt.normal_(torch.empty(ELEMENTS), std=STD, **STREAM),
        "torch.empty, torch normal": lambda: torch.nn.init.normal_(torch.empty(ELEMENTS), 0.0, STD),
        "pondera.numpy normal": lambda: pn.normal((ELEMENTS,), std=STD, **STREAM),
    }
    seconds = interleaved(cases, 7)
    return {case: spread(s, 1e9 / ELEMENTS) for case, s in seconds.items()}


def measure_orthogonal() -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for rows, columns in SQUARES:
        out = torch.empty(rows, columns)
        ours_, theirs_ = [], []
        for turn in range(-1, 5):
            begun = time.perf_counter()
            torch.nn.init.orthogonal_(out)
            between = time.perf_counter()
            time.sleep(PAUSE)
            again = time.perf_counter()
            pt.orthogonal_(out, seed=0, name="w")
            done = time.perf_counter()
            if turn >= 0:
                theirs_.append(between - begun)
                ours_.append(done - again)
        exact = out.double()
        error = float((exact.T @ exact - torch.eye(columns, dtype=torch.float64)).abs().max())
        if error > 1e-6:
            raise AssertionError(f"orthogonal {rows} x {columns}: error {error}")
        measured[f"{rows} x {columns}"] = {
            "pondera_ms": spread(ours_, 1e3),
            "torch_ms": spread(theirs_, 1e3),
            "times_as_fast_as_torch": ratio(ours_, theirs_),
            "largest_error": float(f"{error:.3g}"),
        }
    return measured


def measure_first_calls() -> dict[str, Any]:
    """Milliseconds, each in its own process, 11 of them in turns."""

    def once(imports: str, call: str) -> float:
        program = _FIRST.format(imports=imports, call=call)
        run = [sys.executable, "-c", program]
        return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

    times: dict[str, list[float]] = {case: [] for case in FIRST_CALLS}
    for turn in range(-1, 11):
        for case, (imports, call) in FIRST_CALLS.items():
            seconds = once(imports, call)
            if turn >= 0:
                times[case].append(seconds)
    return {case: spread(s, 1e3) for case, s in times.items()}


def main() -> None:
    before = load()
    info = kernel_info()
    measured = {
        "kernel": {"level": info.level, "threads": info.threads},
        "against_peers_64_Mi": measure_against_peers(),
        "normal_float32_shards_ns_per_element": measure_shards(),
        "levels_4_Mi_float32_ns_per_element": measure_levels(),
        "gpt2_small": measure_model(),
        "small_tensors_microseconds_per_fill": measure_small(),
        "fresh_memory_ns_per_element": measure_fresh(),
        "orthogonal_float32": measure_orthogonal(),
        "first_calls_ms": measure_first_calls(),
        "load_before": before,
        "load_after": load(),
        "note": "Loads above the benchmark's own threads mean that others shared the machine: "
        "trust ratios of the least times more than medians.",
    }
    write_result("draws", measured)


if __name__ == "__main__":
    main()
