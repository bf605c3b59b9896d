"""Draws in JAX, jitted, against `jax.nn.initializers`, in nanoseconds per element.

Protocol: numbers are compared with core's before anything is timed. Then 20 interleaved repeats after one
untimed turn, each waited for; median, quartiles and least. 64 Mi elements (an 8192 × 8192 float32 matrix, or
another side given on the command line). `reused`: the result is written into the donated memory of the one
before. `fresh`: into new memory, whose pages the system hands out while it is written, which costs both
the same. The seed (ours) and the key (JAX's) are arguments of the compiled functions. Work per call:
elements × 4 bytes, written once. Orthogonal matrices in milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import pondera.jax as pj
from benchmarks.record import write_result
from benchmarks.timing import interleaved, load, ratio, spread
from pondera.core import draw as meaning
from pondera.core import laws
from pondera.core.laws.base import AbstractElementwise

STD, SIDE, REPEATS = 0.02, 8192, 20
LAWS: dict[str, AbstractElementwise] = {
    "uniform": laws.uniform(low=-STD, high=STD),
    "normal": laws.normal(std=STD),
    "truncated": laws.truncated_normal(std=STD),
}
PEERS = {
    "uniform": jax.nn.initializers.uniform(STD),
    "normal": jax.nn.initializers.normal(STD),
    "truncated": jax.nn.initializers.truncated_normal(STD),
}
SIZES = (256, 1024)  # of orthogonal matrices
Case = Callable[[], Any]


def ours(law: str, shape: tuple[int, int]) -> Callable[[Any], jax.Array]:
    return lambda seed: pj.weight(LAWS[law], shape, seed=seed, name="w")


def theirs(law: str, shape: tuple[int, int]) -> Callable[[Any], jax.Array]:
    return lambda key: PEERS[law](key, shape, jnp.float32)


def fresh(drawn: Callable[[Any], jax.Array], given: Any) -> Case:
    compiled = jax.jit(drawn)
    return lambda: compiled(given).block_until_ready()


def reused(drawn: Callable[[Any], jax.Array], given: Any, shape: tuple[int, int]) -> Case:
    compiled = jax.jit(lambda held, x: drawn(x), donate_argnums=0, keep_unused=True)
    held = [jnp.zeros(shape, jnp.float32)]

    def case() -> None:
        held[0] = compiled(held[0], given).block_until_ready()

    return case


def check(law: str, shape: tuple[int, int]) -> None:
    """The numbers of a draw are core's: at both ends and at some tiles between."""
    made = np.asarray(jax.jit(ours(law, shape))(jnp.uint32(7))).reshape(-1)
    for start in (0, 1, 4099, made.size // 2 - 7, made.size - 1000):
        recipe = LAWS[law].recipe(shape)
        expected = meaning.draw(start, 1000, recipe=recipe, seed=7, name="w")[: made.size - start]
        if made[start : start + 1000].tobytes() != expected.tobytes():
            raise AssertionError(f"{law} is not core's")


def measure(shape: tuple[int, int]) -> dict[str, Any]:
    measured, count = {}, shape[0] * shape[1]
    for law in LAWS:
        check(law, shape)
        sides = {
            "pondera": (ours(law, shape), jnp.uint32(7)),
            "jax": (theirs(law, shape), jax.random.key(7)),
        }
        for memory in ("reused", "fresh"):
            cases = {
                side: reused(*case, shape) if memory == "reused" else fresh(*case)
                for side, case in sides.items()
            }
            seconds = interleaved(cases, REPEATS)
            measured[f"{law}, {memory} memory"] = {
                "ns_per_element": {case: spread(s, 1e9 / count) for case, s in seconds.items()},
                "times_as_fast_as_jax": ratio(seconds["pondera"], seconds["jax"]),
            }
    return measured


def measure_orthogonal() -> dict[str, Any]:
    measured = {}
    for size in SIZES:
        shape = (size, size)
        q = np.asarray(pj.orthogonal(shape, seed=7, name="w"))
        if np.abs(q.T @ q - np.eye(size)).max() > 1e-6:
            raise AssertionError("not orthogonal")
        peer = jax.nn.initializers.orthogonal()
        seconds = interleaved(
            {
                "pondera": fresh(
                    lambda s, shape=shape: pj.orthogonal(shape, seed=s, name="w"), jnp.uint32(7)
                ),
                "jax": fresh(
                    lambda k, shape=shape, peer=peer: peer(k, shape, jnp.float32), jax.random.key(7)
                ),
            },
            REPEATS,
        )
        measured[f"{size} × {size}"] = {
            "ms": {case: spread(s, 1e3) for case, s in seconds.items()},
            "times_as_fast_as_jax": ratio(seconds["pondera"], seconds["jax"]),
        }
    return measured


def main() -> None:
    side = int(sys.argv[1]) if len(sys.argv) > 1 else SIDE
    before = load()
    measured = {
        "side": side,
        "float32": measure((side, side)),
        "orthogonal_float32": measure_orthogonal(),
        "load_before": before,
        "load_after": load(),
        "note": "Loads above the benchmark's own threads mean that others shared the machine: "
        "trust ratios of the least times more than medians.",
    }
    write_result("draws_jax", measured)


if __name__ == "__main__":
    main()
