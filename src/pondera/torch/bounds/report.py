"""How the bounded parameters of an optimizer stand: the λ asked for beside the λ that the weights show."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import AbstractPenalty, GroupLasso, SparseGroupLasso, equilibrium_rms
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds.entries import MULTIPLIER, Bounded
from pondera.torch.bounds.fused import taken
from pondera.torch.bounds.metric import decouples, own_step

_ABSENT: Final = "–"
_ALWAYS: Final = ("parameter", "bound", "way", "λ", "realised", "zeros", "RMS")
_HEAD: Final = (
    *("parameter", "bound", "way", "λ", "realised", "zeros", "groups"),
    *("τ steps", "τ epochs", "RMS", "RMS at rest"),
)


@dataclass(frozen=True)
class BoundRow:
    """One parameter under a bound.

    Args:
        name: the parameter's name.
        bound: the penalty, with its present strengths.
        way: "metric", "orthant", "projection", "newton", "decay", "cpr" or "frozen".
        why: why that way.
        strength: λ asked for at present, None for a constraint.
        realised: λ that the non-zero weights show: the median of −gradient over the penalty's slope, times λ,
            from the optimizer's average gradient if it keeps one, else from the last; None where that says
            nothing.
        zeros: exact zeros.
        size: number of weights.
        groups_left: groups that are not zero, None without groups.
        groups: number of groups, None without.
        timescale_steps: 1/(lr·λ) of a decoupled decay, in steps.
        timescale_epochs: the same in epochs, if the steps of one are known.
        rms: root mean square of the weights.
        equilibrium: the RMS √(lr/(2λ)) at which AdamW settles under this decay.
        taken: how the bound's share of a step is computed: "fused", by the compiled kernel together with the
            optimizer's own step; "separate", by the kernel in a pass behind it; "framework", by tensor
            operations.
        taken_why: why so.
    """

    name: str
    bound: str
    way: str
    why: str
    strength: float | None
    realised: float | None
    zeros: int
    size: int
    groups_left: int | None
    groups: int | None
    timescale_steps: float | None
    timescale_epochs: float | None
    rms: float
    equilibrium: float | None
    taken: str = "framework"
    taken_why: str = ""


@dataclass(frozen=True)
class BoundsReport:
    """A row per parameter under a bound: `print` shows a table, `plain` the data, `chart` a picture.

    Args:
        rows: in the optimizer's order.
        steps: optimizer steps since the bounds were attached.
    """

    rows: tuple[BoundRow, ...]
    steps: int

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it: None also for numbers that are not finite."""
        rows = [{key: _held(entry) for key, entry in asdict(row).items()} for row in self.rows]
        return {"rows": rows, "steps": self.steps}

    def chart(self, **options: Any) -> Any:
        """The picture, an altair chart.

        Args:
            options: `theme=` of `pondera.report.theme`; LIGHT if not given.

        Raises:
            MissingFramework: altair is not installed.
        """
        return _reporting("standing_chart")(self.plain(), **options)

    def to_html(self, path: Path | str, /) -> Path:
        """Write one HTML file with the picture and the table; it needs no network and no script.

        Args:
            path: of the file; its folder must exist.

        Returns:
            The path.

        Raises:
            MissingFramework: altair, vl-convert or Jinja is not installed.
        """
        return _reporting("write_standing")(self.plain(), path)

    def __rich__(self) -> Any:
        return _reporting("standing_table")(self.plain())

    def __str__(self) -> str:
        cells = [_cells(row) for row in self.rows]
        filled = {title for row in cells for title in _HEAD if row[title] != _ABSENT}
        keep = [title for title in _HEAD if title in filled or title in _ALWAYS]
        lines = [keep, *([row[title] for title in keep] for row in cells)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(keep))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


def _held(entry: Any) -> Any:
    return None if isinstance(entry, float) and not math.isfinite(entry) else entry


def _reporting(name: str) -> Any:
    """A function of the report layer, which this one must not need."""
    return getattr(import_module("pondera.report"), name)


def row_of(
    entry: Bounded, optimizer: torch.optim.Optimizer, steps_per_epoch: int | None
) -> BoundRow:
    """One parameter as it stands."""
    w, bound = entry.parameter.detach(), entry.bound
    state = optimizer.state.get(entry.parameter, {})
    rate = entry.group.get("lr")
    lr = 0.0 if rate is None else float(rate)  # some optimizers choose their own
    decay = bound.fraction(lr=lr, factor=entry.factor) if isinstance(bound, WeightDecay) else 0
    steps = 1 / decay if decay else None
    alive = _groups(bound, w)
    how, because = taken(entry, optimizer)
    return BoundRow(
        name=entry.name,
        bound=_shown(bound),
        way=entry.way,
        why=entry.plain["why"],
        strength=_strength(bound, state),
        realised=_realised(entry, optimizer, state),
        zeros=int((w == 0).sum()),
        size=w.numel(),
        groups_left=None if alive is None else int(alive.sum()),
        groups=None if alive is None else alive.numel(),
        timescale_steps=steps,
        timescale_epochs=steps / steps_per_epoch if steps and steps_per_epoch else None,
        rms=float(w.double().square().mean().sqrt()) if w.numel() else 0.0,
        equilibrium=_equilibrium(bound, lr, entry.factor),
        taken=how,
        taken_why=because,
    )


def loss_gradient(entry: Bounded, optimizer: torch.optim.Optimizer) -> torch.Tensor | None:
    """The last gradient of what is minimised beside the penalty: with a coupled weight_decay's share."""
    gradient, group = entry.parameter.grad, entry.group
    if gradient is None:
        return None
    gradient = -gradient if group.get("maximize") else gradient
    coupled = group.get("weight_decay", 0)
    if not coupled or decouples(optimizer, group):
        return gradient
    return gradient + coupled * entry.parameter.detach()


def _strength(bound: Any, state: Any) -> float | None:
    if isinstance(bound, WeightDecay):
        return bound.rate
    if isinstance(bound, CPR):
        return float(state.get(MULTIPLIER, 0.0))
    lead = getattr(bound, bound.strengths[0]) if bound.strengths else None
    return _strength(lead, state) if isinstance(lead, AbstractPenalty) else lead


def _realised(entry: Bounded, optimizer: torch.optim.Optimizer, state: Any) -> float | None:
    bound, w = entry.bound, entry.parameter.detach()
    if not isinstance(bound, AbstractPenalty) or entry.way == "frozen":
        return None
    gradient, asked = _average_gradient(entry, optimizer, state), _strength(bound, state)
    if gradient is None or asked is None:
        return None
    try:
        slope = bound.slope(w, xp=torch).double()
    except DomainError:
        return None
    gradient = gradient.to(slope)
    if isinstance(bound, GroupLasso):
        layout = bound.groups.layout(tuple(w.shape))
        slope, gradient = layout.fold(slope, torch), layout.fold(gradient, torch)
        slope, gradient = layout.sum(slope * slope, torch), layout.sum(slope * gradient, torch)
    moving = slope != 0
    return (
        asked * float((-gradient[moving] / slope[moving]).median()) if bool(moving.any()) else None
    )


def _average_gradient(
    entry: Bounded, optimizer: torch.optim.Optimizer, state: Any
) -> torch.Tensor | None:
    group = entry.group
    if entry.way == "metric":  # elsewhere the buffers hold what the optimizer was shown
        if "exp_avg" in state and "betas" in group and float(state.get("step", 0)) >= 1:
            return state["exp_avg"] / (1 - float(group["betas"][0]) ** float(state["step"]))
        buffer = state.get("momentum_buffer")
        if buffer is not None and own_step(optimizer) == "SGD.step" and _averages(group):
            return buffer * (1 - group["momentum"]) / (1 - group["dampening"])
    return loss_gradient(entry, optimizer)


def _averages(group: dict[str, Any]) -> bool:
    """Whether SGD's buffer is an average of gradients, up to a factor."""
    return 0 < group["momentum"] < 1 and group["dampening"] < 1


def _groups(bound: Any, w: torch.Tensor) -> torch.Tensor | None:
    if not isinstance(bound, (GroupLasso, SparseGroupLasso)):
        return None
    layout = bound.groups.layout(tuple(w.shape))
    return layout.norm(layout.fold(w, torch), torch) != 0


def _equilibrium(bound: Any, lr: float, factor: float) -> float | None:
    if not isinstance(bound, WeightDecay) or not bound.times_lr or not bound.rate * factor * lr:
        return None
    return equilibrium_rms(bound.rate * factor, lr=lr)


def _shown(bound: Any) -> str:
    if isinstance(bound, AbstractPenalty) and bound.strengths:
        parts = ", ".join(f"{name}={getattr(bound, name)!r}" for name in bound.strengths)
        return f"{type(bound).__name__}({parts})"
    return repr(bound)


def _cells(row: BoundRow) -> dict[str, str]:
    def number(entry: float | None) -> str:
        return _ABSENT if entry is None else f"{entry:.4g}"

    cells = (
        row.name,
        row.bound.split("(")[0],
        row.way if row.taken == "framework" else f"{row.way}, {row.taken}",
        number(row.strength),
        number(row.realised),
        f"{row.zeros} of {row.size}",
        _ABSENT if row.groups is None else f"{row.groups_left} of {row.groups}",
        number(row.timescale_steps),
        number(row.timescale_epochs),
        number(row.rms),
        number(row.equilibrium),
    )
    return dict(zip(_HEAD, cells, strict=True))
