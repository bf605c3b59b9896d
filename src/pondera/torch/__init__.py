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
from pondera.torch.fill import fill_ as fill_
from pondera.torch.fill import glorot_normal_ as glorot_normal_
from pondera.torch.fill import glorot_uniform_ as glorot_uniform_
from pondera.torch.fill import he_normal_ as he_normal_
from pondera.torch.fill import he_uniform_ as he_uniform_
from pondera.torch.fill import lecun_normal_ as lecun_normal_
from pondera.torch.fill import lecun_uniform_ as lecun_uniform_
from pondera.torch.fill import mirrored_orthogonal_ as mirrored_orthogonal_
from pondera.torch.fill import normal as normal
from pondera.torch.fill import normal_ as normal_
from pondera.torch.fill import ones_ as ones_
from pondera.torch.fill import orthogonal_ as orthogonal_
from pondera.torch.fill import truncated_normal as truncated_normal
from pondera.torch.fill import truncated_normal_ as truncated_normal_
from pondera.torch.fill import uniform as uniform
from pondera.torch.fill import uniform_ as uniform_
from pondera.torch.fill import variance_scaling_ as variance_scaling_
from pondera.torch.fill import zeros_ as zeros_
from pondera.torch.initialize import gain as gain
from pondera.torch.initialize import initialize as initialize
