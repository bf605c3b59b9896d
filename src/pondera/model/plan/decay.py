"""Which rows decay, at which rate and learning rate: an optimizer's param groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import median
from typing import Any

from pondera.core.errors import DomainError, unknown
from pondera.core.penalties.timescale import decay_for_timescale
from pondera.model.decay import WHY, DecayGroups, DecayRow
from pondera.model.plan.row import PlanRow
from pondera.model.schemes.base import KINDS

Rates = Mapping[str, float]


def decay_rows(rows: Sequence[PlanRow]) -> tuple[DecayRow, ...]:
    """The audit: a row per parameter, whether it decays and why.

    Raises:
        DomainError: blocks of one parameter differ; an optimizer decays whole parameters.
    """
    found = list[DecayRow]()
    for name, blocks in by_parameter(rows).items():
        first = blocks[0]
        if len({(row.decay, row.rate) for row in blocks}) > 1:
            told = ", ".join(f"{row.label}: decay={row.decay}, rate={row.rate:g}" for row in blocks)
            raise DomainError(
                f"plan: an optimizer takes {name!r} as a whole; got {told}. Give all its blocks one "
                f"decay and rate: plan.edit({name!r}, decay=…)."
            )
        kind = KINDS[first.role] if first.trained else "frozen"
        usual = first.decay == (kind == "weight")
        why = WHY[kind] if usual else f"by the scheme or by hand; a {first.role}"
        found.append(DecayRow(name, first.stored or first.shape, kind, first.decay, why))
    return tuple(found)


def by_parameter(rows: Sequence[PlanRow]) -> dict[str, list[PlanRow]]:
    """Parameter → its rows, in order."""
    found = dict[str, list[PlanRow]]()
    for row in rows:
        found.setdefault(row.name, []).append(row)
    return found


def groups_of(
    rows: Sequence[PlanRow],
    parameters: Mapping[str, Any],
    *,
    weight_decay: float | Rates,
    lr: float | None,
    independent: bool,
) -> DecayGroups:
    """Param groups: one per different decay and learning rate. See `Plan.param_groups`."""
    audit, blocks = decay_rows(rows), by_parameter(rows)
    _need_rates(weight_decay, lr, rows, independent=independent)
    groups = dict[tuple[float, float], list[Any]]()
    for told in audit:
        row = blocks[told.name][0]
        if row.trained:
            decay = _decay(told, weight_decay)
            rate = row.rate * (lr or 1.0)
            decay = decay / rate if independent and decay else decay
            groups.setdefault((decay, rate), []).append(parameters[told.name])
    if not groups:
        raise DomainError(
            f"plan: needs a parameter that is trained; got {len(audit)} parameters, all frozen. "
            "Set requires_grad first."
        )
    ordered = sorted(
        groups.items(), key=lambda group: (group[0][0] == 0, -group[0][0], -group[0][1])
    )
    rated = {} if lr is None else {"lr"}
    return DecayGroups(
        (
            {"params": held, "weight_decay": decay, **dict.fromkeys(rated, rate)}
            for (decay, rate), held in ordered
        ),
        audit,
    )


def _decay(told: DecayRow, weight_decay: float | Rates) -> float:
    if not told.decayed:
        return 0.0
    if isinstance(weight_decay, Mapping):
        return float(weight_decay.get(told.name, 0.0))
    return float(weight_decay)


def _need_rates(
    weight_decay: float | Rates, lr: float | None, rows: Sequence[PlanRow], *, independent: bool
) -> None:
    given = weight_decay if isinstance(weight_decay, Mapping) else {"weight_decay": weight_decay}
    for name, number in given.items():
        if not (isinstance(number, (int, float)) and isfinite(number) and number >= 0):
            raise DomainError(
                f"plan: needs 0 <= weight_decay < inf; got {name}={number!r}. Use 0 for no decay."
            )
        if name != "weight_decay" and name not in {row.name for row in rows}:
            raise unknown("plan", "parameter in weight_decay", name, {row.name for row in rows})
    if lr is not None and not (isfinite(lr) and lr > 0):
        raise DomainError(f"plan: needs 0 < lr < inf; got lr={lr!r}. Pass the peak rate.")
    if lr is None and (independent or any(row.rate != 1 for row in rows if row.trained)):
        why = "independent decay" if independent else "a scheme with factors on the learning rate"
        raise DomainError(f"plan: {why} needs lr; got lr=None. Pass param_groups(lr=…).")


def matched(rows: Sequence[PlanRow], *, lr: float, otherwise: float | None) -> dict[str, float]:
    """Parameter → the decay whose AdamW equilibrium is the RMS it starts at. See `Plan.match_decay`."""
    if not (isfinite(lr) and lr > 0):
        raise DomainError(f"plan: needs 0 < lr < inf; got lr={lr!r}. Pass the peak rate.")
    decayed = {name: held for name, held in by_parameter(rows).items() if held[0].decay}
    found = {name: _matched(held, lr) for name, held in decayed.items()}
    known = [rate for rate in found.values() if rate is not None]
    rest = otherwise if otherwise is not None else median(known) if known else 0.0
    return {name: rest if rate is None else rate for name, rate in found.items()}


def _matched(blocks: Sequence[PlanRow], lr: float) -> float | None:
    """lr·rate/(2·RMS²), solved from √(lr/(2λ)) = RMS; None where the start is 0 or unknown."""
    squares = [(row.size, row.rms) for row in blocks]
    if any(rms is None for _, rms in squares):
        return None
    mean_square = sum(n * (rms or 0.0) ** 2 for n, rms in squares) / max(
        1, sum(n for n, _ in squares)
    )
    return lr * blocks[0].rate / (2 * mean_square) if mean_square > 0 else None


def timescaled(
    rows: Sequence[PlanRow], epochs: float, *, lr: float, batch_size: int, n_samples: int
) -> dict[str, float]:
    """Parameter → the decay that averages its updates over some epochs. See `Plan.timescale_decay`."""
    training = {"batch_size": batch_size, "n_samples": n_samples}
    return {
        name: decay_for_timescale(epochs, lr=lr * held[0].rate, **training)
        for name, held in by_parameter(rows).items()
        if held[0].decay
    }
