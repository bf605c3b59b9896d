"""A program of its own, for a process with eight devices: lays draws out, prints what came of it as JSON."""

import json
from functools import partial

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import pondera.jax as pj
from pondera.core import laws

SPECS = (P(), P("row"), P(("row", "column")), P(None, "column"), P("row", "column"))
LAYOUTS = (
    *(("Auto", (1024, 96), spec) for spec in SPECS),
    *(("Auto", (96, 52, 8), spec) for spec in SPECS[1:]),
    *(("Auto", (50304,), spec) for spec in (P("row"), P(("row", "column")))),
    *(("Explicit", (1024, 96), spec) for spec in SPECS[2:]),
)
DRAWN = {
    "normal": laws.normal(std=0.1),
    "truncated": laws.truncated_normal(std=0.1, mean=3.0),
    "interval": laws.uniform(low=0.0, high=0.3),
}
STREAM = {"seed": 2**63 + 5, "name": "encoder.0.weight"}
ASKS = ("all-gather", "all-reduce", "all-to-all", "collective", "reduce-scatter", "send(", "recv(")


def meshes() -> dict[str, Mesh]:
    devices = np.array(jax.devices()).reshape(2, 4)
    return {
        mode.name: Mesh(devices, ("row", "column"), axis_types=(mode, mode))
        for mode in (AxisType.Auto, AxisType.Explicit)
    }


def shards_are_slices(made: jax.Array, whole: np.ndarray) -> bool:
    parts = [(np.asarray(shard.data), whole[shard.index]) for shard in made.addressable_shards]
    return all(part.tobytes() == cut.tobytes() for part, cut in parts)


def laid_out(found: dict[str, Mesh]) -> list[dict]:
    """Every layout, the laws taking turns: under jit, and with the draw's own sharding."""
    cases = []
    for number, (mode, shape, spec) in enumerate(LAYOUTS):
        kind = list(DRAWN)[number % 3]
        whole = DRAWN[kind].draw(shape, **STREAM)
        sharding = NamedSharding(found[mode], spec)
        drawn = partial(pj.weight, DRAWN[kind], shape, **STREAM)
        compiled = jax.jit(drawn, out_shardings=sharding).lower().compile()
        memory = compiled.memory_analysis()
        made = compiled()
        eager = drawn(sharding=sharding)
        cases.append(
            {
                "case": f"{mode} {kind} {shape} {spec}",
                "asks": [word for word in ASKS if word in compiled.as_text()],
                "equal": shards_are_slices(made, whole),
                "eager": shards_are_slices(eager, whole) and eager.sharding == sharding,
                "bytes": memory.temp_size_in_bytes + memory.output_size_in_bytes,
                "shard": made.addressable_shards[0].data.nbytes,
            }
        )
    return cases


def by_shard_map(mesh: Mesh) -> bool:
    """Each device draws its own slice, whose place it reads from the mesh."""

    def mine():
        first = jax.lax.axis_index("row") * 512
        return pj.normal((1024, 96), std=0.1, offset=(first, 0), size=(512, 96), **STREAM)

    made = jax.jit(jax.shard_map(mine, mesh=mesh, in_specs=(), out_specs=P("row")))()
    return shards_are_slices(made, DRAWN["normal"].draw((1024, 96), **STREAM))


def others(mesh: Mesh) -> list[dict]:
    """Laws that are no loop over elements, laid out all the same."""
    sharding, found = NamedSharding(mesh, P("row", "column")), []
    for law in (laws.orthogonal(), laws.mirrored_orthogonal(), laws.unit_rows(), laws.identity()):
        drawn = partial(pj.weight, law, (64, 32), **STREAM)
        compiled = jax.jit(drawn, out_shardings=sharding).lower().compile()
        made = drawn(sharding=sharding)
        found.append(
            {
                "case": law.name,
                "asks": [word for word in ASKS if word in compiled.as_text()],
                "equal": shards_are_slices(compiled(), np.asarray(drawn())),
                "eager": shards_are_slices(made, np.asarray(drawn())) and made.sharding == sharding,
            }
        )
    return found


if __name__ == "__main__":
    found = meshes()
    print(
        json.dumps(
            {
                "devices": jax.device_count(),
                "layouts": laid_out(found),
                "shard_map": [by_shard_map(mesh) for mesh in found.values()],
                "others": others(found["Auto"]),
            }
        )
    )
