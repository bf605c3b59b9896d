"""What happens around each step of an optimizer: before it, after it, and what is kept between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import L2, AbstractPenalty, Box, ElasticNet, MaxNorm, NonNegative
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds.metric import metric_of
from pondera.torch.bounds.orthant import Sided, sided
from pondera.torch.bounds.plain import Bound, Plain, Schedule, from_plain

KEY: Final = "pondera"  # of a param group: one configuration, or None, per parameter
STEPS: Final = "pondera_step"  # of a param group: optimizer steps taken since the penalties were attached
RESIDUAL: Final = "pondera_residual"  # of a parameter's state: what low precision cannot hold
FROZEN: Final = "pondera_frozen"  # of a parameter's state: which weights stay 0
MULTIPLIER: Final = "pondera_multiplier"  # of a parameter's state: CPR's
_PROJECTED: Final = (Box, MaxNorm, NonNegative)
_SHRINKING: Final = (CPR, ElasticNet, L2, WeightDecay)  # multiply weights: could reach denormals


@dataclass
class Held:
    """What one step keeps of one parameter between before and after.

    Args:
        weights: before the step, where the way needs them.
        gradient: as the caller computed it, to be put back.
        pseudo: what the optimizer saw instead.
    """

    weights: torch.Tensor | None = None
    gradient: torch.Tensor | None = None
    pseudo: torch.Tensor | None = None


@dataclass(frozen=True)
class Bounded:
    """One parameter under a bound.

    Args:
        parameter: the tensor.
        group: its param group.
        plain: its configuration.
        bound: the same as an object, at the schedule's present strength.
        way: "metric", "orthant", "projection", "decay", "cpr" or "frozen".
        factor: the schedule's present factor.
    """

    parameter: torch.nn.Parameter
    group: dict[str, Any]
    plain: Plain
    bound: Bound
    way: str
    factor: float


def way_of(bound: Bound, optimizer: torch.optim.Optimizer) -> tuple[str, str]:
    """How a bound is kept under an optimizer, and why.

    Returns:
        (way, reason).

    Raises:
        DomainError: no way reaches the stated optimum.
    """
    name = type(optimizer).__name__
    if isinstance(bound, WeightDecay):
        return "decay", "decoupled decay acts beside the step"
    if isinstance(bound, CPR):
        return "cpr", "a bound holds itself by its own multiplier, behind the step"
    if metric_of(optimizer) is not None:
        return "metric", f"the diagonal metric of {name} is known: proximal step behind each step"
    if isinstance(bound, _PROJECTED):
        return "projection", f"{name} has no diagonal metric: weights are projected behind each step"
    if sided(bound) is not None:
        return "orthant", (
            f"{name} has no diagonal metric: it sees the gradient of loss + penalty, and a weight that "
            "would cross zero is set to 0"
        )
    raise DomainError(
        f"regularize: {type(bound).__name__} needs an optimizer with a diagonal metric (SGD, Adam, AdamW, "
        f"NAdam, RAdam, RMSprop, Adagrad, Adamax, Adadelta, ASGD); got {name}. Use one of those, or L1, "
        "L2, ElasticNet or GroupLasso."
    )


class Engine:
    """Acts around the steps of one optimizer; all that must survive lies in the optimizer itself."""

    def __init__(self) -> None:
        self._held = dict[int, Held]()
        self._known = dict[int, tuple[Plain, Bound, Schedule | None]]()
        self.counted = 0  # steps taken while votes were counted
        self.votes: dict[int, torch.Tensor] | None = None  # how often each weight was not 0

    def before(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Step pre-hook: decay, and the gradient that the optimizer is to see."""
        self._held.clear()
        closure = args[1] if len(args) > 1 else kwargs.get("closure")  # args[0] is the optimizer
        if closure is not None:
            rest = {k: v for k, v in kwargs.items() if k != "closure"}
            return (args[0], self._wrapped(optimizer, closure), *args[2:]), rest
        self._prepare(optimizer)
        return None

    def after(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Step post-hook: the proximal step, or what the way asks for."""
        skipped = _skipped(optimizer)
        with torch.no_grad():
            for entry in self._entries(optimizer):
                held = self._held.get(id(entry.parameter))
                if held is None:
                    continue
                if held.gradient is not None:
                    entry.parameter.grad = held.gradient
                if not skipped:
                    self._bound(optimizer, entry, held)
                    self._vote(entry)
        self._held.clear()
        if not skipped:
            self.counted += 1
            for group in optimizer.param_groups:
                if KEY in group:
                    group[STEPS] += 1

    def entries(self, optimizer: torch.optim.Optimizer) -> list[Bounded]:
        """Every parameter under a bound, at its present strength."""
        return list(self._entries(optimizer))

    def _entries(self, optimizer: torch.optim.Optimizer) -> Iterator[Bounded]:
        for group in optimizer.param_groups:
            for parameter, plain in zip(group["params"], group.get(KEY, ()), strict=False):
                if plain is None:
                    continue
                bound, schedule = self._parsed(parameter, plain)
                factor = 1.0 if schedule is None else schedule.factor(group[STEPS])
                if factor != 1.0 and isinstance(bound, AbstractPenalty) and bound.strengths:
                    lead = getattr(bound, bound.strengths[0])
                    bound = bound.at(factor * lead) if isinstance(lead, float) else bound
                yield Bounded(parameter, group, plain, bound, plain["way"], factor)

    def _parsed(self, parameter: torch.Tensor, plain: Plain) -> tuple[Bound, Schedule | None]:
        known = self._known.get(id(parameter))
        if known is None or known[0] is not plain:
            schedule = Schedule(**plain["schedule"]) if plain.get("schedule") else None
            known = (plain, from_plain(plain["bound"]), schedule)
            self._known[id(parameter)] = known
        return known[1], known[2]

    def _wrapped(self, optimizer: torch.optim.Optimizer, closure: Any) -> Any:
        """The closure, with each gradient it computes made the one to be seen."""

        def seen() -> Any:
            for held in self._held.values():
                held.gradient = None
            loss = closure()
            extra = self._prepare(optimizer)
            return loss if loss is None or not extra else loss + extra

        return seen

    def _prepare(self, optimizer: torch.optim.Optimizer) -> float:
        """Keep what is needed and set pseudo-gradients; the penalty's size where the loss needs it."""
        factor = _scaler_factor(optimizer)
        extra = 0.0
        with torch.no_grad():
            for entry in self._entries(optimizer):
                parameter, gradient = entry.parameter, entry.parameter.grad
                if gradient is None:
                    continue
                _need_dense(entry, gradient)
                held = self._held.setdefault(id(parameter), Held())
                needs_old = entry.way == "orthant" or (
                    isinstance(entry.bound, WeightDecay) and entry.bound.cautious
                )
                if needs_old and held.weights is None:
                    held.weights = parameter.detach().clone()
                if entry.way == "orthant":
                    side = _side(entry, factor)
                    held.gradient = gradient
                    pseudo = side.pseudo_gradient(parameter, gradient)
                    held.pseudo = pseudo if held.pseudo is None else held.pseudo
                    parameter.grad = pseudo
                    if isinstance(entry.bound, AbstractPenalty):
                        extra += entry.bound.value(parameter.detach(), xp=torch)
                elif entry.way == "decay" and not needs_old:
                    self._decay(optimizer, entry)
        return extra

    def _vote(self, entry: Bounded) -> None:
        if self.votes is not None:
            alive = (entry.parameter != 0).int()
            before = self.votes.get(id(entry.parameter))
            self.votes[id(entry.parameter)] = alive if before is None else before.add_(alive)

    def _decay(self, optimizer: torch.optim.Optimizer, entry: Bounded) -> None:
        if _skipped(optimizer) or not isinstance(entry.bound, WeightDecay):
            return
        lr = float(entry.group["lr"])
        part = entry.bound.fraction(lr=lr, factor=entry.factor)
        if _low(entry.parameter):
            _write(optimizer, entry, _read(optimizer, entry) * (1 - part))
        else:
            entry.parameter.mul_(1 - part)

    def _bound(self, optimizer: torch.optim.Optimizer, entry: Bounded, held: Held) -> None:
        """The bound's share of the step, on the weights that the optimizer proposes."""
        bound, w = entry.bound, _read(optimizer, entry)
        if entry.way == "frozen":
            frozen = optimizer.state[entry.parameter][FROZEN] != 0
            new = torch.where(frozen, torch.zeros_like(w), w)
        elif isinstance(bound, WeightDecay):
            if not bound.cautious or held.weights is None:
                new = w
            else:
                before = held.weights.to(w.dtype)
                lr = float(entry.group["lr"])
                new = w - bound.removal(
                    before, before - w, lr=lr, factor=entry.factor, xp=torch
                )
        elif isinstance(bound, CPR):
            state = optimizer.state[entry.parameter]
            state[MULTIPLIER] = bound.next_multiplier(state.get(MULTIPLIER, 0.0), w, xp=torch)
            new = bound.shrunk(w, state[MULTIPLIER], xp=torch)
        elif entry.way == "orthant":
            if held.weights is None or held.pseudo is None:
                return
            side = _side(entry, 1.0)
            new = side.returned(held.weights.to(w.dtype), w, held.pseudo.to(w.dtype))
        elif entry.way == "projection":
            new = bound.prox(w, step=1.0, xp=torch)
        else:
            metric = metric_of(optimizer)
            if metric is None:
                raise AssertionError("a metric that was there when the penalty was attached")
            step = metric(entry.group, optimizer.state[entry.parameter])
            if isinstance(step, torch.Tensor):
                step = step.to(w.dtype)
            new = bound.prox(w, step=step, xp=torch)
        if isinstance(bound, _SHRINKING):
            tiny = torch.finfo(new.dtype).tiny
            new = torch.where(new.abs() < tiny, torch.zeros_like(new), new)
        _write(optimizer, entry, new)


def _side(entry: Bounded, factor: float) -> Sided:
    found = sided(entry.bound, factor)
    if found is None:
        raise AssertionError("hooks that were there when the penalty was attached")
    return found


def _low(parameter: torch.Tensor) -> bool:
    return parameter.dtype in (torch.bfloat16, torch.float16)


def _read(optimizer: torch.optim.Optimizer, entry: Bounded) -> torch.Tensor:
    """The weights in at least float32, with what low precision could not hold."""
    weights = entry.parameter.detach()
    if not _low(weights):
        return weights
    residual = optimizer.state[entry.parameter].get(RESIDUAL)
    return weights.float() if residual is None else weights.float() + residual.float()


def _write(optimizer: torch.optim.Optimizer, entry: Bounded, new: torch.Tensor) -> None:
    parameter = entry.parameter
    if new.data_ptr() == parameter.data_ptr():
        return
    parameter.copy_(new)
    if _low(parameter):
        optimizer.state[parameter][RESIDUAL] = new - parameter.float()


def _need_dense(entry: Bounded, gradient: torch.Tensor) -> None:
    if gradient.is_sparse:
        raise DomainError(
            f"regularize: a penalty needs dense gradients; got a sparse one of shape {tuple(gradient.shape)}. "
            "Build the embedding with sparse=False, or leave it out of the patterns."
        )


def _scaler_factor(optimizer: torch.optim.Optimizer) -> float:
    factor = getattr(optimizer, "grad_scale", None)
    return 1.0 if factor is None else float(factor)


def _skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a gradient scaler found infinities: a fused optimizer then runs its hooks, but not its step."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and float(found) > 0
