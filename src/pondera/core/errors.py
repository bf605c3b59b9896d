"""The three ways a call can go wrong, each a thing that the caller can mend.

ValueError
├── ShapeError    mend the shape or the axes
└── DomainError   mend the number or the name
ImportError
└── MissingFramework   install it

A message is one line: `where: what must hold; got name=value. What to do.`
`core` states the fact; the layers above put the place in front of it (`placed`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TypeVar


class ShapeError(ValueError):
    """A shape or a choice of axes does not fit."""


class DomainError(ValueError):
    """A number lies outside its domain, or a name is unknown."""


class MissingFramework(ImportError):
    """An optional package is needed and not installed."""


_SHOWN = 24  # names in one message

_Fact = TypeVar("_Fact", ShapeError, DomainError)


def placed(place: str, fact: _Fact) -> _Fact:
    """The same error with the place in front; raise it `from None`."""
    return type(fact)(f"{place}: {fact}")


def unknown(where: str, what: str, name: object, known: Iterable[str]) -> DomainError:
    """The error for a name that is none of `known`, with the nearest one suggested."""
    choices = sorted(known)
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(choices[:_SHOWN])
    rest = f", … ({len(choices)} in all)" if len(choices) > _SHOWN else ""
    return DomainError(f"{where}: unknown {what} {name!r}; {hint}Known: {shown}{rest}.")


def missing(module: str, package: str, extra: str) -> MissingFramework:
    """The error for an optional package that is not installed, with the exact remedy."""
    return MissingFramework(
        f"{module} needs {package}, which is not installed. Run: pip install 'pondera[{extra}]'"
    )
