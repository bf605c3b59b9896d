"""Network and scheme → a row per parameter."""

from __future__ import annotations

from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError, placed, unknown
from pondera.core.laws.base import Axes
from pondera.model.graph import Network, Role
from pondera.model.rows import Row
from pondera.model.schemes import SCHEMES
from pondera.model.schemes.classic import true_fans

_SMALL = {
    "bias": (laws.zeros, "0: a bias of a weight that the scheme draws"),
    "norm scale": (laws.ones, "1 leaves the normalised value as it is"),
    "norm shift": (laws.zeros, "0 leaves the normalised value as it is"),
}


def rows_for(network: Network, *, scheme: str) -> tuple[Row, ...]:
    """A row for each parameter of a network, by a named scheme.

    Args:
        network: what one forward pass showed.
        scheme: a name of `SCHEMES`.

    Returns:
        Rows in the order of the model's parameters.

    Raises:
        DomainError: unknown scheme, no weight to draw, or a network that the scheme cannot serve.
        ShapeError: a weight's shape does not fit its law.
    """
    if scheme not in SCHEMES:
        raise unknown("initialize", "scheme", scheme, SCHEMES)
    if not network.uses:
        raise DomainError(
            "initialize: found no dense or convolutional weight in the forward pass; got "
            f"{len(network.shapes)} parameters. Draw them one by one with pondera.torch.fill_."
        )
    if not network.trained:
        raise DomainError(
            "initialize: needs a dense or convolutional weight that is trained; got "
            f"{len(network.frozen)} frozen parameters. Call requires_grad_(True) on those to draw."
        )
    first = {use.name: index for index, use in reversed([*enumerate(network.uses)])}
    rows = {name: _weight_row(network, first[name], scheme) for name in network.trained}
    return tuple(
        rows.get(name) or _other_row(name, shape, network.others[name])
        if name not in network.frozen
        else _frozen_row(network, name)
        for name, shape in network.shapes.items()
    )


def _weight_row(network: Network, index: int, scheme: str) -> Row:
    use = network.uses[index]
    try:
        ruling = SCHEMES[scheme].rule(network, index)
        std = ruling.law.std(use.shape, Axes(use.in_axes, use.out_axes))
    except ShapeError as fact:
        raise placed(use.name, fact) from None
    fan_in, fan_out = true_fans(use)
    return Row(
        use.name,
        use.shape,
        use.role,
        ruling.law,
        ruling.why + _also(network, use.name),
        in_axes=use.in_axes,
        out_axes=use.out_axes,
        fan_in=fan_in,
        fan_out=fan_out,
        gain=ruling.gain,
        std=std,
    )


def _also(network: Network, name: str) -> str:
    """What else the weight is used for."""
    times = [use.name for use in network.uses].count(name)
    again = f"; the first of its {times} uses" if times > 1 else ""
    return again + ("; rows are looked up in it too" if name in network.lookups else "")


def _other_row(name: str, shape: tuple[int, ...], role: Role) -> Row:
    if role == "unused":
        return Row(
            name, shape, role, None, "left as it was: the forward pass was not seen to use it"
        )
    if role not in _SMALL:
        return Row(name, shape, role, None, "left as the framework made it: no rule for it here")
    factory, why = _SMALL[role]
    return Row(name, shape, role, factory(), why, std=0.0)


def _frozen_row(network: Network, name: str) -> Row:
    used: Role | None = next((use.role for use in network.uses if use.name == name), None)
    why = "left as it was: frozen, it will not be trained"
    return Row(name, network.shapes[name], used or network.others[name], None, why)
