"""A law as text that a person can edit, such as "normal(std=0.02)", and back."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from pondera.core import laws
from pondera.core.errors import DomainError, unknown
from pondera.core.laws import AbstractLaw

KEEP: Final = "keep"
_OF_WIDTH: Final = ("kan_normal", "residual_normal", "small_normal", "wang_normal")
_NAMELESS: Final = ("hippo_legs_input", "hippo_legs_state", "siren_first", "torch_uniform")
_OTHERWISE: Final = MappingProxyType({"sigma": "std", "position": "block"})  # field → argument


def _factories() -> Mapping[str, Callable[..., AbstractLaw]]:
    found = inspect.getmembers(laws, inspect.isfunction)
    return MappingProxyType({name: f for name, f in found if name != "truncated_std"})


FACTORIES: Final = _factories()


def spelled(law: AbstractLaw | None) -> str:
    """A law as a call of its factory; "keep" for none.

    A law that a network's width or depth made is written with the std that came of it, and is read
    so; the factory's own arguments are read as well.

    Args:
        law: a law of `pondera.laws`, or None.

    Returns:
        Text that `read_law` turns into an equal law.

    Raises:
        DomainError: a law that is none of Pondera's.
    """
    if law is None:
        return KEEP
    if law.name in FACTORIES and type(law).__module__.partition(".")[0] == "pondera":
        given = ", ".join(f"{name}={number!r}" for name, number in _arguments(law).items())
        bare = law.name == "constant"
        text = f"{law.name}({given.removeprefix('number=') if bare else given})"
        if read_law(text) == law:
            return text
    raise DomainError(
        f"plan: a saved plan holds laws that pondera.laws makes; got {law!r}. Use one of those, or "
        "'keep' and draw the weight yourself."
    )


def _arguments(law: AbstractLaw) -> dict[str, Any]:
    """What makes the law again, without what is the factory's default."""
    held = {f.name: getattr(law, f.name) for f in fields(law) if f.name != "name"}
    name = law.name
    if name in _OF_WIDTH:
        return {"std": held["sigma"]}
    if name == "log_time_steps":
        return {"log_low": held["low"], "log_high": held["high"]}
    if name in ("siren_hidden",):
        return {"omega": 1.0, "gain": held["gain"]}
    if name in ("s4d_inv", "s4d_lin"):
        return {"part": "whole"} if held["whole"] else {}
    if name in _NAMELESS:
        return {}
    known = inspect.signature(FACTORIES[name]).parameters
    renamed = {_OTHERWISE.get(field, field): number for field, number in held.items()}
    return {
        argument: number
        for argument, number in renamed.items()
        if argument in known and number is not None and _needed(name, argument, number)
    }


def _needed(name: str, argument: str, number: Any) -> bool:
    """Whether the argument differs from the default; He's gain follows from another one."""
    if name in ("he_normal", "he_uniform") and argument == "gain":
        return number != 2**0.5
    return inspect.signature(FACTORIES[name]).parameters[argument].default != number


def read_law(text: str) -> AbstractLaw | None:
    """The law that a text spells; None for "keep".

    Args:
        text: a call such as "he_normal(fan='out')", or the name alone of a law without arguments.

    Returns:
        The law, or None.

    Raises:
        DomainError: no such law, arguments that it does not take, or no such form.
    """
    if text == KEEP:
        return None
    name, positional, named = _parsed(text)
    if name not in FACTORIES:
        raise unknown("plan", "law", name, [*FACTORIES, KEEP])
    if name in _OF_WIDTH and set(named) == {"std"}:
        return laws.Normal(name, sigma=float(laws.normal(**named).sigma), mean=0.0)
    if name == "log_time_steps" and set(named) == {"log_low", "log_high"}:
        plain = laws.uniform(low=named["log_low"], high=named["log_high"])
        return laws.Uniform(name, low=plain.low, high=plain.high)
    try:
        return FACTORIES[name](*positional, **named)
    except TypeError as fault:
        told = str(fault).rpartition("() ")[2].rstrip(".")
        raise DomainError(
            f"plan: law {text!r} does not fit {name}; {told}. See help(pondera.laws.{name})."
        ) from None


def _parsed(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    try:
        call = ast.parse(text, mode="eval").body
        if isinstance(call, ast.Name):
            return call.id, [], {}
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            named = {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}
            if len(named) == len(call.keywords):
                return call.func.id, [ast.literal_eval(each) for each in call.args], named
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass
    raise DomainError(
        f"plan: a law is written as name(argument=number); got {text!r}. Write it like "
        "normal(std=0.02), or keep."
    )


def brief(law: AbstractLaw | None) -> str:
    """A law for a table: its name, and what is not its std."""
    if law is None:
        return KEEP
    if isinstance(law, laws.Constant):
        return f"{law.number:.4g}"
    if isinstance(law, laws.Uniform) and law.name == "uniform" and law.low == -law.high:
        return f"uniform ±{law.high:.4g}"
    if isinstance(law, (laws.MirroredOrthogonal, laws.MirroredDeltaOrthogonal)):
        return f"{law.name} {law.position}"
    if law.name == "he_normal" and getattr(law, "fan", "in") == "out":
        return "he_normal fan_out"
    return law.name
