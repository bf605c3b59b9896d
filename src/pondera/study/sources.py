"""`package.module:name` → the function of that name."""

from __future__ import annotations

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
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as fault:
        raise DomainError(
            f"{option}: cannot import {module!r} from {os.getcwd()} (no module named {fault.name!r}). "
            "Run in the folder that holds it, or install it."
        ) from fault
    except AttributeError as fault:
        raise DomainError(
            f"{option}: {path!r} does not exist ({fault}). Name a function of that module."
        ) from fault
    except Exception as fault:
        raise DomainError(
            f"{option}: importing {module!r} raised {type(fault).__name__}: {fault}. Mend the module."
        ) from fault
    if not callable(found):
        raise DomainError(
            f"{option}: {path!r} must be a function without arguments; got {type(found).__name__}. "
            "Wrap it in a function."
        )
    return found


def called(function: Callable[..., Any], *, option: str) -> Any:
    """What the function returns; an error inside it becomes one line that names it."""
    name = f"{function.__module__}:{getattr(function, '__qualname__', function)}"
    try:
        return function()
    except Exception as fault:
        raise DomainError(
            f"{option}: {name}() raised {type(fault).__name__}: {fault}. It is called without arguments."
        ) from fault
