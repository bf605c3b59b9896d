"""Which parameter of an optimizer is under which bound, and how it is kept there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import (
    L1,
    L2,
    MCP,
    SCAD,
    AbstractPenalty,
    Box,
    ElasticNet,
    GroupLasso,
    NonNegative,
    SparseGroupLasso,
)
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds.metric import metric_of, own_step
from pondera.torch.bounds.orthant import PROJECTED, sided
from pondera.torch.bounds.plain import Bound, Plain, Schedule, from_plain

KEY: Final = "pondera"  # of a param group: one configuration, or None, per parameter
STEPS: Final = (
    "pondera_step"  # of a param group: optimizer steps taken since the bounds were attached
)
FROZEN: Final = "pondera_frozen"  # of a parameter's state: which weights stay 0
MULTIPLIER: Final = "pondera_multiplier"  # of a parameter's state: CPR's
_LOW: Final = (torch.bfloat16, torch.float16)
FACES: Final = (
    L1,
    L2,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    GroupLasso,
    NonNegative,
    SparseGroupLasso,
)  # smooth between their kinks


@dataclass(eq=False)
class Bounded:
    """One parameter under a bound, and what one step keeps of it between before and after.

    Args:
        parameter: the tensor.
        group: its param group.
        place: its place in that group.
        plain: its configuration.
        base: the bound as an object, at full strength.
        bound: the same at the schedule's present strength.
        schedule: multiplies the strength.
        factor: by this, at present.
        acting: what the optimizer steps: the parameter, or its weights in float32.
        weights: those before the step, where the way needs them.
        gradient: as the caller computed it, to be put back.
        shown: what the optimizer sees instead, and how often that had been written to.
        slope: the loss's gradient, the first of a step, as of a loss to be minimised.
        pseudo: what was shown for it, on the same terms.
        carried: what the metric found before the step.
        decayed: whether this step's decay is done.
        fused: whether the kernel has taken the optimizer's step and the bound's share.
    """

    parameter: torch.nn.Parameter
    group: dict[str, Any]
    place: int
    plain: Plain
    base: Bound
    bound: Bound
    schedule: Schedule | None
    factor: float = 1.0
    acting: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    weights: torch.Tensor | None = None
    gradient: torch.Tensor | None = None
    shown: tuple[torch.Tensor, int] | None = None
    slope: torch.Tensor | None = None
    pseudo: torch.Tensor | None = None
    carried: Any = None
    decayed: bool = False
    fused: bool = False

    @property
    def way(self) -> str:
        """One of "metric", "orthant", "projection", "newton", "decay", "cpr" and "frozen"."""
        return self.plain["way"]

    @property
    def name(self) -> str:
        """The parameter's name in the model."""
        return self.plain["name"]

    @property
    def is_low(self) -> bool:
        """Whether the dtype is too coarse for single steps."""
        return self.parameter.dtype in _LOW

    def at_present(self) -> None:
        """Set the bound to the strength that its schedule asks for."""
        if self.schedule is None:
            return
        self.factor = self.schedule.factor(self.group[STEPS] - self.plain.get("start", 0))
        if isinstance(self.base, AbstractPenalty) and self.base.strengths:
            self.bound = strengthened(self.base, self.factor)

    def settle(self) -> None:
        """Forget what belongs to one step."""
        self.acting = self.parameter
        self.weights = self.gradient = self.shown = self.slope = self.pseudo = self.carried = None
        self.decayed = self.fused = False


def strengthened(penalty: Any, factor: float) -> Any:
    """A penalty with all its strengths times a factor."""
    lead = getattr(penalty, penalty.strengths[0])
    if isinstance(lead, AbstractPenalty):
        inner = strengthened(lead, factor) if lead.strengths else lead
        return replace(penalty, **{penalty.strengths[0]: inner})
    return replace(penalty, **{name: factor * getattr(penalty, name) for name in penalty.strengths})


def bounded(group: dict[str, Any]) -> Iterator[Bounded]:
    """Every parameter of a param group that is under a bound.

    Raises:
        DomainError: parameters were taken out of the group by hand.
    """
    plains = group.get(KEY, ())
    if len(plains) > len(group["params"]):
        raise DomainError(
            "regularize: a param group must keep its parameters in their order; got "
            f"{len(group['params'])} of {len(plains)}. Call detach() first, then take them out."
        )
    for place, (parameter, plain) in enumerate(zip(group["params"], plains, strict=False)):
        if plain is not None:
            schedule = Schedule(**plain["schedule"]) if plain.get("schedule") else None
            bound = from_plain(plain["bound"])
            yield Bounded(parameter, group, place, plain, bound, bound, schedule, acting=parameter)


def way_of(bound: Bound, optimizer: torch.optim.Optimizer) -> tuple[str, str]:
    """How a bound is kept under an optimizer, and why.

    Returns:
        (way, reason).

    Raises:
        DomainError: no way reaches the stated optimum.
    """
    name = type(optimizer).__name__
    if own_step(optimizer) == "LBFGS.step":
        return _newton(bound)
    if isinstance(bound, WeightDecay):
        return "decay", "decoupled decay acts beside the step"
    if isinstance(bound, CPR):
        return "cpr", "a bound holds itself by its own multiplier, behind the step"
    if metric_of(optimizer) is not None:
        return "metric", f"the diagonal metric of {name} is known: proximal step behind each step"
    if sided(bound) is None:
        raise DomainError(
            f"regularize: {type(bound).__name__} needs an optimizer with a diagonal metric (SGD, Adam, "
            f"AdamW, NAdam, RAdam, RMSprop, Adagrad, Adamax, Adadelta, ASGD); got {name}. Use one of "
            "those, or L1, L2, ElasticNet, MCP, SCAD, GroupLasso or SparseGroupLasso."
        )
    if isinstance(bound, PROJECTED):
        return "projection", (
            f"{name} has no diagonal metric: it sees no gradient that leads outside, and weights are projected"
        )
    return "orthant", (
        f"{name} has no diagonal metric: it sees the gradient of loss + penalty, and a weight that "
        "would cross zero is set to 0"
    )


def _newton(bound: Bound) -> tuple[str, str]:
    if not isinstance(bound, FACES):
        names = ", ".join(kind.__name__ for kind in FACES)
        raise DomainError(
            "regularize: LBFGS needs a penalty that is smooth between its kinks; got "
            f"{type(bound).__name__}. Use one of {names}, or another optimizer."
        )
    return "newton", (
        "LBFGS steps on the weights off the kinks; a proximal gradient step between its steps changes which "
        "those are"
    )
