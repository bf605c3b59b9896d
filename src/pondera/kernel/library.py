"""The compiled library beside the package, and which of its instruction sets runs.

PONDERA_KERNEL=numpy, plain, avx2 or avx512 forces a level: for comparing them, or for telling whether
the library is at fault. Without it the widest level runs that the build and the processor have.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pondera.core.errors import DomainError, unknown

Level = Literal["numpy", "plain", "avx2", "avx512"]

VARIABLE: Final = "PONDERA_KERNEL"
LEVELS: Final[tuple[Level, ...]] = ("numpy", "plain", "avx2", "avx512")  # the widest last
_ABI: Final = 3  # PONDERA_ABI of csrc/pondera.h
_SUFFIX: Final = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
PLACE: Final = Path(__file__).with_name(f"_pondera_kernel{_SUFFIX}")


@dataclass(frozen=True)
class Kernel:
    """What runs, and why.

    Args:
        level: the instruction set, or "numpy".
        why: the reason, a clause.
        library: the loaded library; None when NumPy runs.
        forced: whether PONDERA_KERNEL chose.
    """

    level: Level
    why: str
    library: ctypes.CDLL | None = None
    forced: bool = False

    @cached_property
    def draw(self) -> Any:
        """The library's function of the draws, which small fills look up often."""
        return self.function("draw")

    def function(self, name: str) -> Any:
        """A function of the library at this level."""
        return getattr(self.library, f"pondera_{name}_{self.level}")


@cache
def running() -> Kernel:
    """The kernel of this process; the library is loaded at the first call.

    Returns:
        The same record at every call.

    Raises:
        DomainError: PONDERA_KERNEL names no level, or one that cannot run here.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in LEVELS:
        raise unknown(VARIABLE, "kernel", wanted, LEVELS)
    if wanted == "numpy":
        return Kernel("numpy", f"{VARIABLE}=numpy", forced=True)
    library, fault = _load(PLACE)
    here = levels(library)
    if wanted and wanted not in here:
        raise DomainError(
            f"{VARIABLE}: a level must run on this machine; got {wanted!r}, which does not "
            f"({fault or 'the processor lacks it'}). Use one of {', '.join(sorted(here))}, or unset it."
        )
    if wanted:
        return _declared(Kernel(wanted, f"{VARIABLE}={wanted}", library, forced=True))
    if library is None:
        return Kernel("numpy", fault)
    return _declared(Kernel(here[-1], "the widest that build and processor have", library))


def levels(library: ctypes.CDLL | None) -> tuple[Level, ...]:
    """Levels that can run here, the widest last; NumPy always can."""
    if library is None:
        return LEVELS[:1]
    return tuple(
        level
        for number, level in enumerate(LEVELS, start=-1)
        if level == "numpy"
        or (hasattr(library, f"pondera_draw_{level}") and library.pondera_supports(number))
    )


def _load(place: Path) -> tuple[ctypes.CDLL | None, str]:
    """(library, why there is none)."""
    if not place.exists():
        return None, "no compiled library beside the package"
    try:
        library = ctypes.CDLL(str(place))
        version = library.pondera_abi()
    except (OSError, AttributeError) as fault:
        return None, f"the compiled library does not load: {fault}"
    if version != _ABI:
        return None, "the compiled library is of another version"
    return library, ""


def _declared(kernel: Kernel) -> Kernel:
    """The kernel with its functions' argument types set, so that 64-bit integers stay whole."""
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    draw = kernel.function("draw")
    draw.argtypes, draw.restype = [pointer, pointer, pointer], None
    for name in ("adam_step", "adam_prox", "sgd_step", "sgd_prox"):
        kernel.function(name).argtypes = [pointer, number, pointer]
    return kernel


def library_path(kernel: Kernel) -> str | None:
    """Where the loaded library lies."""
    return None if kernel.library is None else str(getattr(kernel.library, "_name", PLACE))
