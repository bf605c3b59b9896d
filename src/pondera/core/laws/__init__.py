"""Laws: fans and gain → distribution and std. One factory per law, one file per family."""

from pondera.core.laws.base import AbstractLaw as AbstractLaw
from pondera.core.laws.fixed import Constant as Constant
from pondera.core.laws.fixed import Normal as Normal
from pondera.core.laws.fixed import TruncatedNormal as TruncatedNormal
from pondera.core.laws.fixed import Uniform as Uniform
from pondera.core.laws.fixed import constant as constant
from pondera.core.laws.fixed import normal as normal
from pondera.core.laws.fixed import ones as ones
from pondera.core.laws.fixed import truncated_normal as truncated_normal
from pondera.core.laws.fixed import truncated_std as truncated_std
from pondera.core.laws.fixed import uniform as uniform
from pondera.core.laws.fixed import zeros as zeros
from pondera.core.laws.matrices import MirroredOrthogonal as MirroredOrthogonal
from pondera.core.laws.matrices import Orthogonal as Orthogonal
from pondera.core.laws.matrices import mirrored_orthogonal as mirrored_orthogonal
from pondera.core.laws.matrices import orthogonal as orthogonal
from pondera.core.laws.variance import VarianceScaling as VarianceScaling
from pondera.core.laws.variance import glorot_normal as glorot_normal
from pondera.core.laws.variance import glorot_uniform as glorot_uniform
from pondera.core.laws.variance import he_normal as he_normal
from pondera.core.laws.variance import he_uniform as he_uniform
from pondera.core.laws.variance import lecun_normal as lecun_normal
from pondera.core.laws.variance import lecun_uniform as lecun_uniform
from pondera.core.laws.variance import variance_scaling as variance_scaling
