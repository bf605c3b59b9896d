"""Pondera for PyTorch: named draws in place, whole models, and what one look at a model shows."""

from pondera.core.errors import missing

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as _fault:
    if _fault.name != "torch":
        raise
    raise missing("pondera.torch", "PyTorch", "torch") from None

from pondera.torch.bounds import Schedule as Schedule
from pondera.torch.bounds import regularize as regularize
from pondera.torch.bounds import resume as resume
from pondera.torch.fill import delta_orthogonal_ as delta_orthogonal_
from pondera.torch.fill import dirac_ as dirac_
from pondera.torch.fill import fill_ as fill_
from pondera.torch.fill import glorot_normal_ as glorot_normal_
from pondera.torch.fill import glorot_uniform_ as glorot_uniform_
from pondera.torch.fill import hadamard_orthogonal_ as hadamard_orthogonal_
from pondera.torch.fill import he_normal_ as he_normal_
from pondera.torch.fill import he_uniform_ as he_uniform_
from pondera.torch.fill import hippo_legs_input_ as hippo_legs_input_
from pondera.torch.fill import hippo_legs_state_ as hippo_legs_state_
from pondera.torch.fill import identity_ as identity_
from pondera.torch.fill import kan_normal_ as kan_normal_
from pondera.torch.fill import lecun_normal_ as lecun_normal_
from pondera.torch.fill import lecun_uniform_ as lecun_uniform_
from pondera.torch.fill import log_time_steps_ as log_time_steps_
from pondera.torch.fill import log_uniform_ as log_uniform_
from pondera.torch.fill import mamba2_decay_ as mamba2_decay_
from pondera.torch.fill import mirrored_delta_orthogonal_ as mirrored_delta_orthogonal_
from pondera.torch.fill import mirrored_orthogonal_ as mirrored_orthogonal_
from pondera.torch.fill import mup_output_normal_ as mup_output_normal_
from pondera.torch.fill import normal as normal
from pondera.torch.fill import normal_ as normal_
from pondera.torch.fill import ones_ as ones_
from pondera.torch.fill import orthogonal_ as orthogonal_
from pondera.torch.fill import residual_normal_ as residual_normal_
from pondera.torch.fill import s4d_inv_ as s4d_inv_
from pondera.torch.fill import s4d_lin_ as s4d_lin_
from pondera.torch.fill import s4d_real_ as s4d_real_
from pondera.torch.fill import siren_first_ as siren_first_
from pondera.torch.fill import siren_hidden_ as siren_hidden_
from pondera.torch.fill import small_normal_ as small_normal_
from pondera.torch.fill import softplus_time_steps_ as softplus_time_steps_
from pondera.torch.fill import sparse_ as sparse_
from pondera.torch.fill import tiled_identity_ as tiled_identity_
from pondera.torch.fill import torch_uniform_ as torch_uniform_
from pondera.torch.fill import truncated_normal as truncated_normal
from pondera.torch.fill import truncated_normal_ as truncated_normal_
from pondera.torch.fill import uniform as uniform
from pondera.torch.fill import uniform_ as uniform_
from pondera.torch.fill import unit_rows_ as unit_rows_
from pondera.torch.fill import variance_scaling_ as variance_scaling_
from pondera.torch.fill import wang_normal_ as wang_normal_
from pondera.torch.fill import zeros_ as zeros_
from pondera.torch.initialize import gain as gain
from pondera.torch.initialize import initialize as initialize
