"""Which kernel runs and why: for people, and for bug reports."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Final

from pondera.kernel import library, pool
from pondera.kernel.library import VARIABLE, Level

NOTICED: Final = 2**20  # elements; a smaller fill takes NumPy some 20 ms at most


@dataclass(frozen=True)
class KernelInfo:
    """Which kernel runs.

    Args:
        level: "avx512", "avx2", "plain" (portable C) or "numpy" (nothing compiled).
        why: the reason, a clause.
        library: path of the compiled library, None when NumPy runs.
        threads: how many threads a large fill uses.
    """

    level: Level
    why: str
    library: str | None
    threads: int

    def __str__(self) -> str:
        place = self.library or "no compiled library"
        return f"{self.level} ({self.why}), {self.threads} threads, {place}"


def kernel_info() -> KernelInfo:
    """Which kernel runs, and why.

    Returns:
        A record; `print` shows it on one line.

    Raises:
        DomainError: PONDERA_KERNEL names no level, or one that cannot run here.
    """
    kernel = library.running()
    threads = 1 if kernel.level == "numpy" else pool.threads()
    return KernelInfo(kernel.level, kernel.why, library.library_path(kernel), threads)


def notice(count: int) -> None:
    """Say once per process that the compiled library is missing, when someone has to wait for it."""
    kernel = library.running()
    if kernel.level == "numpy" and not kernel.forced and count > NOTICED:
        _warn_once(kernel.why)


@cache
def _warn_once(why: str) -> None:
    warnings.warn(
        f"pondera: large draws run in NumPy, the same numbers some 20 times slower; got {why}. "
        "Install a C compiler and run: pip install --force-reinstall --no-deps --no-binary pondera "
        f"pondera. Or set {VARIABLE}=numpy to be told no more.",
        RuntimeWarning,
        stacklevel=4,
    )
