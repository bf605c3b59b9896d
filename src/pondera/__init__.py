"""Good weights for neural networks: how they begin and how they are kept in bounds.

The names below are loaded when first used: `import pondera` imports no framework, not even NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pondera import numpy as numpy
    from pondera import torch as torch
    from pondera.core import laws as laws
    from pondera.core.errors import DomainError as DomainError
    from pondera.core.errors import MissingFramework as MissingFramework
    from pondera.core.errors import ShapeError as ShapeError
    from pondera.core.fans import Fans as Fans
    from pondera.core.fans import fans as fans
    from pondera.core.gains import gain as gain
    from pondera.core.penalties import L1 as L1
    from pondera.core.penalties import L2 as L2
    from pondera.model.dispatch import initialize as initialize
    from pondera.model.rows import Row as Row

__version__ = "0.1.0.dev0"

_WHERE = {
    "DomainError": "pondera.core.errors",
    "Fans": "pondera.core.fans",
    "L1": "pondera.core.penalties",
    "L2": "pondera.core.penalties",
    "MissingFramework": "pondera.core.errors",
    "Row": "pondera.model.rows",
    "ShapeError": "pondera.core.errors",
    "fans": "pondera.core.fans",
    "gain": "pondera.core.gains",
    "initialize": "pondera.model.dispatch",
    "laws": "pondera.core",
    "numpy": "pondera",
    "torch": "pondera",
}

__all__ = sorted([*_WHERE, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'pondera' has no attribute {name!r}")
    place = _WHERE[name]
    if name in ("laws", "numpy", "torch"):
        return importlib.import_module(f"{place}.{name}")
    found = getattr(importlib.import_module(place), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
