"""Adapters: a narrow pair of weights beside a wide one, with the same input and the sum of both as output."""

from __future__ import annotations

from dataclasses import dataclass, field

from pondera.model.roles.kinds import origin_of
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.sites import Role
from pondera.model.trace import Operation


@dataclass
class Adapters:
    """What is known of adapters.

    Args:
        roles: name → role, with the reason.
        sums: value that holds the sum → the wide weight's use, whose output it stands for.
    """

    roles: dict[str, tuple[Role, str]] = field(default_factory=dict[str, tuple[Role, str]])
    sums: dict[int, Use] = field(default_factory=dict[int, Use])


def adapters_of(walks: Walks, owners: dict[int, Use]) -> Adapters:
    """All adapters.

    Args:
        walks: the graph.
        owners: value → the use that made it; sums with adapters are added to it.
    """
    found = Adapters()
    for operation in walks.graph.operations:
        live = walks.live(operation)
        if operation.kind == "combine" and operation.label == "add" and len(live) == 2:
            made = [owners.get(origin_of(walks, n)) for n in live]
            for up, wide in (made, made[::-1]):
                if up is not None and wide is not None and up.name != wide.name:
                    _pair(walks, owners, operation, up, wide, found)
    return found


def _pair(
    walks: Walks,
    owners: dict[int, Use],
    operation: Operation,
    up: Use,
    wide: Use,
    found: Adapters,
) -> None:
    expression = walks.expression(up.entering)
    down = owners.get(origin_of(walks, up.entering))
    if down is None or (expression.function is not None and not expression.affine):
        return
    if origin_of(walks, down.entering) != origin_of(walks, wide.entering) or not up.in_axes:
        return
    if down.fan_out < min(down.fan_in, up.fan_out) and down.name != wide.name:
        found.roles[down.name] = ("adapter down", f"the narrow way in beside {wide.name}")
        found.roles[up.name] = ("adapter up", f"the narrow way out beside {wide.name}")
        found.sums[operation.outputs[0]] = wide
        owners[operation.outputs[0]] = wide
