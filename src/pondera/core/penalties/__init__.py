"""Penalties on weights: how much they cost, what a step does, how far from optimal.

elementwise · counting · nonconvex · grouped (groups, secular) · spectral · constraints · distance:
one family per file. decay, timescale and cpr act beside the objective; convert speaks other
libraries.
"""

from pondera.core.penalties.base import AbstractPenalty as AbstractPenalty
from pondera.core.penalties.constraints import Box as Box
from pondera.core.penalties.constraints import MaxNorm as MaxNorm
from pondera.core.penalties.constraints import NonNegative as NonNegative
from pondera.core.penalties.convert import Convention as Convention
from pondera.core.penalties.convert import convert_strength as convert_strength
from pondera.core.penalties.counting import L0 as L0
from pondera.core.penalties.counting import LHalf as LHalf
from pondera.core.penalties.counting import hard_threshold as hard_threshold
from pondera.core.penalties.cpr import CPR as CPR
from pondera.core.penalties.cpr import inflection as inflection
from pondera.core.penalties.cpr import mean_size as mean_size
from pondera.core.penalties.decay import WeightDecay as WeightDecay
from pondera.core.penalties.decay import decay_factor as decay_factor
from pondera.core.penalties.distance import Distance as Distance
from pondera.core.penalties.elementwise import L1 as L1
from pondera.core.penalties.elementwise import L2 as L2
from pondera.core.penalties.elementwise import ElasticNet as ElasticNet
from pondera.core.penalties.elementwise import soft_threshold as soft_threshold
from pondera.core.penalties.grouped import GroupLasso as GroupLasso
from pondera.core.penalties.grouped import SparseGroupLasso as SparseGroupLasso
from pondera.core.penalties.groups import Groups as Groups
from pondera.core.penalties.nonconvex import MCP as MCP
from pondera.core.penalties.nonconvex import SCAD as SCAD
from pondera.core.penalties.spectral import Nuclear as Nuclear
from pondera.core.penalties.spectral import singular_threshold as singular_threshold
from pondera.core.penalties.timescale import decay_for_timescale as decay_for_timescale
from pondera.core.penalties.timescale import decay_timescale as decay_timescale
from pondera.core.penalties.timescale import equilibrium_rms as equilibrium_rms
