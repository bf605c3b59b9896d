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
    drawn = dict[str, Row]()
    for index, use in enumerate(network.uses):
        drawn.setdefault(use.name, _weight_row(network, index, scheme))
    return tuple(
        drawn.get(name) or _other_row(name, shape, network.others[name])
        for name, shape in network.shapes.items()
    )


def _weight_row(network: Network, index: int, scheme: str) -> Row:
    use = network.uses[index]
    ruling = SCHEMES[scheme].rule(network, index)
    try:
        std = ruling.law.std(use.shape, Axes(use.in_axes, use.out_axes))
    except ShapeError as fact:
        raise placed(use.name, fact) from None
    fan_in, fan_out = true_fans(use)
    return Row(
        use.name,
        use.shape,
        use.role,
        ruling.law,
        ruling.why,
        in_axes=use.in_axes,
        out_axes=use.out_axes,
        fan_in=fan_in,
        fan_out=fan_out,
        gain=ruling.gain,
        std=std,
    )


def _other_row(name: str, shape: tuple[int, ...], role: Role) -> Row:
    if role not in _SMALL:
        return Row(name, shape, role, None, "left as the framework made it: no rule for it here")
    factory, why = _SMALL[role]
    return Row(name, shape, role, factory(), why, std=0.0)
