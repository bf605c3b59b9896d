"""`package.module:name` → the function of that name, and what it returns."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from pondera.core.errors import DomainError


def function_at(path: str, *, option: str) -> Callable[..., Any]:
    """The function that a path names; the current folder is searched too.

    Args:
        path: "package.module:name".
        option: the option that the path came from, for the error.

    Returns:
        The function.

    Raises:
        DomainError: the path has another form, the module cannot be imported, the name is not in it or
            cannot be called.
    """
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise DomainError(
            f"{option}: needs package.module:function; got {path!r}. Write it like my_package.net:build."
        )
    found = _module(module, option)
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise DomainError(
                f"{option}: {path!r} does not exist; {hint}Name a function of {module!r}."
            )
        found = getattr(found, part)
    if not callable(found):
        raise DomainError(
            f"{option}: {path!r} must be a function without arguments; got {type(found).__name__}. "
            "Wrap it in a function."
        )
    return found


def called(function: Callable[..., Any], *, path: str, option: str) -> Any:
    """What the function returns; an error inside it becomes one line that names it.

    Raises:
        DomainError: it raised.
    """
    try:
        return function()
    except (Exception, SystemExit) as fault:
        raise DomainError(
            f"{option}: {path} raised {reason(fault)}. Call it once by hand, without arguments, and mend "
            "what it says."
        ) from fault


def reason(fault: BaseException) -> str:
    """An error's class and the first line of what it says, without a closing stop."""
    said = (str(fault).strip().splitlines() or [""])[0].rstrip(".")
    return f"{type(fault).__name__}: {said}" if said else type(fault).__name__


def _module(module: str, option: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as fault:
        raise DomainError(
            f"{option}: cannot import {module!r} from {os.getcwd()} (no module named {fault.name!r}). "
            "Run in the folder that holds it, or install it."
        ) from fault
    except (Exception, SystemExit) as fault:
        raise DomainError(
            f"{option}: importing {module!r} raised {reason(fault)}. Mend the module."
        ) from fault
