"""Good weights for neural networks: how they begin and how they are kept in bounds.

The names below are loaded when first used: `import pondera` imports no framework, not even NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pondera import jax as jax
    from pondera import numpy as numpy
    from pondera import torch as torch
    from pondera.core import laws as laws
    from pondera.core.errors import DomainError as DomainError
    from pondera.core.errors import MissingFramework as MissingFramework
    from pondera.core.errors import ShapeError as ShapeError
    from pondera.core.fans import Fans as Fans
    from pondera.core.fans import fans as fans
    from pondera.core.gains import gain as gain
    from pondera.core.penalties import L0 as L0
    from pondera.core.penalties import L1 as L1
    from pondera.core.penalties import L2 as L2
    from pondera.core.penalties import MCP as MCP
    from pondera.core.penalties import SCAD as SCAD
    from pondera.core.penalties import AbstractPenalty as AbstractPenalty
    from pondera.core.penalties import Box as Box
    from pondera.core.penalties import Distance as Distance
    from pondera.core.penalties import ElasticNet as ElasticNet
    from pondera.core.penalties import GroupLasso as GroupLasso
    from pondera.core.penalties import Groups as Groups
    from pondera.core.penalties import LHalf as LHalf
    from pondera.core.penalties import MaxNorm as MaxNorm
    from pondera.core.penalties import NonNegative as NonNegative
    from pondera.core.penalties import Nuclear as Nuclear
    from pondera.core.penalties import SparseGroupLasso as SparseGroupLasso
    from pondera.core.penalties.convert import convert_strength as convert_strength
    from pondera.core.penalties.cpr import CPR as CPR
    from pondera.core.penalties.decay import WeightDecay as WeightDecay
    from pondera.kernel.info import kernel_info as kernel_info
    from pondera.model.dispatch import decay_groups as decay_groups
    from pondera.model.dispatch import initialize as initialize
    from pondera.model.inputs import Input as Input
    from pondera.model.plan import Plan as Plan
    from pondera.model.plan import plan as plan
    from pondera.model.rows import Row as Row
    from pondera.model.schemes.registry import schemes as schemes

__version__ = "0.1.0.dev0"

_WHERE = {
    "AbstractPenalty": "pondera.core.penalties",
    "Box": "pondera.core.penalties",
    "CPR": "pondera.core.penalties.cpr",
    "Distance": "pondera.core.penalties",
    "DomainError": "pondera.core.errors",
    "ElasticNet": "pondera.core.penalties",
    "Fans": "pondera.core.fans",
    "GroupLasso": "pondera.core.penalties",
    "Groups": "pondera.core.penalties",
    "Input": "pondera.model.inputs",
    "L0": "pondera.core.penalties",
    "L1": "pondera.core.penalties",
    "L2": "pondera.core.penalties",
    "LHalf": "pondera.core.penalties",
    "MCP": "pondera.core.penalties",
    "MaxNorm": "pondera.core.penalties",
    "MissingFramework": "pondera.core.errors",
    "NonNegative": "pondera.core.penalties",
    "Nuclear": "pondera.core.penalties",
    "Plan": "pondera.model.plan",
    "Row": "pondera.model.rows",
    "SCAD": "pondera.core.penalties",
    "ShapeError": "pondera.core.errors",
    "SparseGroupLasso": "pondera.core.penalties",
    "WeightDecay": "pondera.core.penalties.decay",
    "convert_strength": "pondera.core.penalties.convert",
    "decay_groups": "pondera.model.dispatch",
    "fans": "pondera.core.fans",
    "gain": "pondera.core.gains",
    "initialize": "pondera.model.dispatch",
    "jax": "pondera",
    "kernel_info": "pondera.kernel.info",
    "laws": "pondera.core",
    "numpy": "pondera",
    "plan": "pondera.model.plan",
    "schemes": "pondera.model.schemes.registry",
    "torch": "pondera",
}
_MODULES = ("jax", "laws", "numpy", "torch")

__all__ = sorted([*_WHERE, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'pondera' has no attribute {name!r}")
    place = _WHERE[name]
    if name in _MODULES:
        return importlib.import_module(f"{place}.{name}")
    found = getattr(importlib.import_module(place), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
