"""What must hold before a plan is carried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pondera.core.errors import DomainError, ShapeError
from pondera.model.plan.row import PlanRow

_SHOWN: Final = 6  # names in one message


def need_fit(rows: Sequence[PlanRow], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """The plan's parameters are the model's, each of its shape.

    Raises:
        DomainError: a parameter is missing on one side. ShapeError: a shape changed. It is named.
    """
    planned = {row.name: row.stored or row.shape for row in rows}
    for name, shape in planned.items():
        if name not in shapes:
            raise DomainError(
                f"plan: the model has no parameter {name!r}, which the plan has. Make the plan anew, or "
                "rename it in the file."
            )
        if tuple(shapes[name]) != tuple(shape):
            raise ShapeError(
                f"plan: {name!r} has another shape than in the plan; got shape={tuple(shapes[name])}, "
                f"planned {tuple(shape)}. Make the plan anew."
            )
    for name in shapes:
        if name not in planned:
            raise DomainError(
                f"plan: the plan has no row for {name!r}, which the model has. Make the plan anew, or add "
                "a row to the file."
            )


def several(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def need_rules(rows: Sequence[PlanRow]) -> None:
    """Every row is drawn, or left alone on purpose.

    Raises:
        DomainError: a row is neither; it is named, with the remedy.
    """
    uncovered = [row for row in rows if not row.ruled]
    if uncovered:
        first = uncovered[0]
        raise DomainError(
            f"plan: every parameter needs a rule; got {several([row.key for row in uncovered])}: "
            f"{first.why}. Set plan[{first.key!r}] = laws.zeros() or another law, or 'keep' to leave "
            "it alone."
        )


def need_memory(rows: Sequence[PlanRow], meta: Sequence[str]) -> None:
    """No row's parameter lies on the meta device.

    Raises:
        DomainError: one does.
    """
    bare = [row.key for row in rows if row.name in set(meta)]
    if bare:
        raise DomainError(
            f"plan: {several(bare)} on the meta device: there is no memory to fill. Call "
            "module.to_empty(device=…), then plan.apply(model).initialize(seed)."
        )
