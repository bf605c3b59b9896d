"""Pondera for JAX: named draws as pure functions, under jit, vmap and any sharding, with NumPy's bits."""

from pondera.core.errors import missing

try:
    import jax as _jax  # noqa: F401  # pyright: ignore[reportUnusedImport]
except ModuleNotFoundError as _fault:
    if _fault.name != "jax":
        raise
    raise missing("pondera.jax", "JAX", "jax") from None

from pondera.jax.functions import delta_orthogonal as delta_orthogonal
from pondera.jax.functions import dirac as dirac
from pondera.jax.functions import glorot_normal as glorot_normal
from pondera.jax.functions import glorot_uniform as glorot_uniform
from pondera.jax.functions import hadamard_orthogonal as hadamard_orthogonal
from pondera.jax.functions import he_normal as he_normal
from pondera.jax.functions import he_uniform as he_uniform
from pondera.jax.functions import hippo_legs_input as hippo_legs_input
from pondera.jax.functions import hippo_legs_state as hippo_legs_state
from pondera.jax.functions import identity as identity
from pondera.jax.functions import kan_normal as kan_normal
from pondera.jax.functions import lecun_normal as lecun_normal
from pondera.jax.functions import lecun_uniform as lecun_uniform
from pondera.jax.functions import log_time_steps as log_time_steps
from pondera.jax.functions import log_uniform as log_uniform
from pondera.jax.functions import mamba2_decay as mamba2_decay
from pondera.jax.functions import mirrored_delta_orthogonal as mirrored_delta_orthogonal
from pondera.jax.functions import mirrored_orthogonal as mirrored_orthogonal
from pondera.jax.functions import mup_output_normal as mup_output_normal
from pondera.jax.functions import normal as normal
from pondera.jax.functions import ones as ones
from pondera.jax.functions import orthogonal as orthogonal
from pondera.jax.functions import residual_normal as residual_normal
from pondera.jax.functions import s4d_inv as s4d_inv
from pondera.jax.functions import s4d_lin as s4d_lin
from pondera.jax.functions import s4d_real as s4d_real
from pondera.jax.functions import siren_first as siren_first
from pondera.jax.functions import siren_hidden as siren_hidden
from pondera.jax.functions import small_normal as small_normal
from pondera.jax.functions import softplus_time_steps as softplus_time_steps
from pondera.jax.functions import sparse as sparse
from pondera.jax.functions import tiled_identity as tiled_identity
from pondera.jax.functions import torch_uniform as torch_uniform
from pondera.jax.functions import truncated_normal as truncated_normal
from pondera.jax.functions import uniform as uniform
from pondera.jax.functions import unit_rows as unit_rows
from pondera.jax.functions import variance_scaling as variance_scaling
from pondera.jax.functions import wang_normal as wang_normal
from pondera.jax.functions import zeros as zeros
from pondera.jax.weights import weight as weight
