"""All schemes by name."""

from __future__ import annotations

import fnmatch
from types import MappingProxyType
from typing import Any, Final

from pondera.core.errors import unknown
from pondera.model.schemes import (
    fields,
    frameworks,
    mup,
    signal,
    transformers,
    variance,
    vision,
)
from pondera.model.schemes.ruling import Scheme

_FAMILIES = (fields, frameworks, mup, signal, transformers, variance, vision)
TABLES: Final = MappingProxyType(
    {s.name: s for s in sorted((s for f in _FAMILIES for s in f.SCHEMES), key=lambda s: s.name)}
)


class Schemes(dict[str, Scheme]):
    """Schemes by name; printed, a line each with its source."""

    def __repr__(self) -> str:
        wide = max(map(len, self), default=0)
        lines = [f"{s.name:{wide}}  {s.title}\n{'':{wide}}  {s.source}" for s in self.values()]
        return "\n".join(lines)

    __str__ = __repr__


def schemes(pattern: str = "*") -> Schemes:
    """All schemes by name, each with what it is for and where it comes from.

    Args:
        pattern: only those whose name it matches, as in fnmatch.

    Returns:
        A dict from name to scheme; print it to read it.

    >>> schemes()["gpt2"].source
    "Radford et al. 2019, §2.3; decay as nanoGPT's configure_optimizers"
    """
    return Schemes({n: s for n, s in TABLES.items() if fnmatch.fnmatchcase(n, pattern)})


def scheme_of(asked: Any) -> Scheme:
    """A scheme by its name, or the scheme itself.

    Raises:
        DomainError: the name is unknown.
    """
    if isinstance(asked, Scheme):
        return asked
    if not isinstance(asked, str) or asked not in TABLES:
        raise unknown("plan", "scheme", asked, TABLES)
    return TABLES[asked]
