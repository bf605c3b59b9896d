"""The starts that race: the framework's own, the classics, and a formula as it is often printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from types import MappingProxyType
from typing import Any, Final

from pondera.core import laws
from pondera.core.errors import unknown
from pondera.model.adapter import AbstractAdapter
from pondera.model.assign import rows_for
from pondera.model.graph import Network
from pondera.model.rows import Row


@dataclass(frozen=True)
class Arm:
    """One start.

    Args:
        name: its short name.
        title: in words.
        law: its formula.
        source: where it comes from.
        scheme: the scheme that draws it; "" for the framework's own start, "printed" for the formula as
            often printed.
    """

    name: str
    title: str
    law: str
    source: str
    scheme: str

    def rows(self, network: Network) -> tuple[Row, ...]:
        """The rows to draw; none for the framework's own start.

        Raises:
            DomainError: the network cannot be served by this start.
        """
        if not self.scheme:
            return ()
        return (
            printed_rows(network)
            if self.scheme == "printed"
            else rows_for(network, scheme=self.scheme)
        )


ARMS: Final = MappingProxyType(
    {
        arm.name: arm
        for arm in (
            Arm(
                "textbook",
                "Xavier, misprinted",
                "U(√(2/fan_in), √(2/fan_out))",
                "a formula in circulation; see docs/printed-wrong.md",
                "printed",
            ),
            Arm("default", "framework default", "U(±1/√fan_in), biases too", "PyTorch", ""),
            Arm(
                "xavier",
                "Xavier (Glorot) uniform",
                "U(±√6/√(fan_in + fan_out))",
                "Glorot & Bengio 2010, eq. 16",
                "glorot",
            ),
            Arm("he", "He (Kaiming) normal", "N(0, 2/fan_in)", "He et al. 2015, eq. 10", "he"),
            Arm(
                "orthogonal",
                "orthogonal, exact gain",
                "Q / √E f(z)²",
                "Saxe et al. 2013; gain by quadrature",
                "orthogonal",
            ),
            Arm(
                "mirrored",
                "mirrored orthogonal",
                "[[Q, −Q], [−Q, Q]]",
                'Balduzzi et al. 2017 ("looks linear")',
                "mirrored",
            ),
        )
    }
)


def printed_rows(network: Network) -> tuple[Row, ...]:
    """Every weight by U(√(2/fan_in), √(2/fan_out)), bounds in rising order; a point for equal fans.

    Not a law of the library: it is here to show what it costs.
    """
    rows = list[Row]()
    for row in rows_for(network, scheme="glorot"):
        if row.fan_in is None or row.fan_out is None:
            rows.append(row)
            continue
        low, high = sorted((sqrt(2 / row.fan_in), sqrt(2 / row.fan_out)))
        law = laws.uniform(low=low, high=high)
        why = "as often printed: both bounds positive"
        rows.append(replace(row, law=law, std=law.std(()), why=why))
    return tuple(rows)


def chosen_arms(names: Sequence[str]) -> tuple[Arm, ...]:
    """Arms by name, in the order of `ARMS`; all of them for no names.

    Raises:
        DomainError: an unknown name.
    """
    for name in names:
        if name not in ARMS:
            raise unknown("--arms", "arm", name, ARMS)
    return tuple(arm for arm in ARMS.values() if not names or arm.name in names)


def start(adapter: AbstractAdapter, model: Any, example: Any, arm: Arm, *, seed: int) -> None:
    """Give a model this start, in place."""
    if arm.scheme:
        adapter.fill(model, arm.rows(adapter.observe(model, example)), seed=seed)
