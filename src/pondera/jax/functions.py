"""The laws under their own names: `weight` by one law, with the law's options beside the draw's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax

from pondera.core import laws
from pondera.core.errors import DomainError
from pondera.core.laws.base import AbstractLaw
from pondera.jax.stream import Seed, traced
from pondera.jax.weights import weight


class _Drawn(Protocol):
    """A law's drawing function: shape in, weight out."""

    def __call__(
        self,
        shape: Sequence[int],
        /,
        *,
        seed: Seed,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        dtype: Any = "float32",
        offset: Sequence[Any] | None = None,
        size: Sequence[int] | None = None,
        sharding: jax.sharding.Sharding | None = None,
        **options: Any,
    ) -> jax.Array: ...


def _known(law: str, options: dict[str, Any]) -> dict[str, Any]:
    """A law's options with scalars of JAX as Python's numbers."""
    for option, given in options.items():
        if traced(given):
            raise DomainError(
                f"draw: {law} needs options that are known before tracing; got a traced {option}. "
                "Pass a number, or draw with 1 and multiply."
            )
    return {
        k: v.item() if isinstance(v, jax.Array) and not v.ndim else v for k, v in options.items()
    }


def _by_law(factory: Callable[..., AbstractLaw]) -> _Drawn:
    """`weight` with the law's own options beside the draw's."""

    def drawn(
        shape: Sequence[int],
        /,
        *,
        seed: Seed,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        dtype: Any = "float32",
        offset: Sequence[Any] | None = None,
        size: Sequence[int] | None = None,
        sharding: jax.sharding.Sharding | None = None,
        **options: Any,
    ) -> jax.Array:
        return weight(
            factory(**_known(factory.__name__, options)),
            shape,
            seed=seed,
            name=name,
            in_axes=in_axes,
            out_axes=out_axes,
            dtype=dtype,
            offset=offset,
            size=size,
            sharding=sharding,
        )

    drawn.__name__ = drawn.__qualname__ = factory.__name__
    drawn.__doc__ = (
        f"A weight by `laws.{factory.__name__}`; its options and those of `weight`.\n\n"
        f"The law:\n\n{inspect.getdoc(factory)}"
    )
    return drawn


delta_orthogonal = _by_law(laws.delta_orthogonal)
dirac = _by_law(laws.dirac)
glorot_normal = _by_law(laws.glorot_normal)
glorot_uniform = _by_law(laws.glorot_uniform)
hadamard_orthogonal = _by_law(laws.hadamard_orthogonal)
he_normal = _by_law(laws.he_normal)
he_uniform = _by_law(laws.he_uniform)
hippo_legs_input = _by_law(laws.hippo_legs_input)
hippo_legs_state = _by_law(laws.hippo_legs_state)
identity = _by_law(laws.identity)
kan_normal = _by_law(laws.kan_normal)
lecun_normal = _by_law(laws.lecun_normal)
lecun_uniform = _by_law(laws.lecun_uniform)
log_time_steps = _by_law(laws.log_time_steps)
log_uniform = _by_law(laws.log_uniform)
mamba2_decay = _by_law(laws.mamba2_decay)
mirrored_delta_orthogonal = _by_law(laws.mirrored_delta_orthogonal)
mirrored_orthogonal = _by_law(laws.mirrored_orthogonal)
mup_output_normal = _by_law(laws.mup_output_normal)
normal = _by_law(laws.normal)
ones = _by_law(laws.ones)
orthogonal = _by_law(laws.orthogonal)
residual_normal = _by_law(laws.residual_normal)
s4d_inv = _by_law(laws.s4d_inv)
s4d_lin = _by_law(laws.s4d_lin)
s4d_real = _by_law(laws.s4d_real)
siren_first = _by_law(laws.siren_first)
siren_hidden = _by_law(laws.siren_hidden)
small_normal = _by_law(laws.small_normal)
softplus_time_steps = _by_law(laws.softplus_time_steps)
sparse = _by_law(laws.sparse)
tiled_identity = _by_law(laws.tiled_identity)
torch_uniform = _by_law(laws.torch_uniform)
truncated_normal = _by_law(laws.truncated_normal)
uniform = _by_law(laws.uniform)
unit_rows = _by_law(laws.unit_rows)
variance_scaling = _by_law(laws.variance_scaling)
wang_normal = _by_law(laws.wang_normal)
zeros = _by_law(laws.zeros)
