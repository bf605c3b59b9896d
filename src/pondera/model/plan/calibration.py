"""A plan's weights brought to size on a batch, for layers that no formula covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, sqrt
from typing import Any

from pondera.core.errors import DomainError
from pondera.model.plan import checks
from pondera.model.plan.edits import matching
from pondera.model.plan.planner import planner_of
from pondera.model.plan.rates import AbstractRates
from pondera.model.plan.row import PlanRow

_SKIPPED = ("embedding", "head", "position", "position bias", "router", "token")


class AbstractCalibrated(AbstractRates):
    """What a plan does with a batch."""

    def calibrate(self, batch: Any, pattern: str = "*") -> dict[str, float]:
        """Rescale weights so that each gives on this batch the RMS that the plan promises.

        One forward pass for any depth: behind each weight the signal goes on as the rescaled weight would
        send it. Shared weights keep the factor of their first use; batch normalisations use the batch's
        statistics and keep their running ones. Embeddings, heads and routers keep their size.

        Args:
            batch: tuple (positional), dict (keyword arguments) or the one input, as the model takes it.
            pattern: which parameters, rows or modules; all weights if left out.

        Returns:
            Name → factor. The rows keep it: `save` writes it, and `initialize` draws with it again.

        Raises:
            DomainError: no model is bound, a weight whose output is 0 or not finite, a batch that the model
                does not accept, or a pattern that means no weight. Model and plan are as before.
        """
        model = self.bound("calibrate")
        planner = planner_of(model)
        checks.need_fit(self.rows, planner.shapes(model))
        checks.need_memory(self.rows, planner.meta(model))
        chosen = [self.rows[k] for k in matching(self.rows, pattern)]
        targets = _targets(chosen, pattern)
        factors = dict(planner.calibrate(model, batch, targets))
        self.rows = tuple(
            replace(row, factor=row.factor * factors.get(row.name, 1.0)) for row in self.rows
        )
        return factors


def _targets(rows: Sequence[PlanRow], pattern: str) -> dict[str, float]:
    """Name → the RMS of its output that the plan promises: its std by its fan, its gain aside."""
    by_name = dict[str, list[float]]()
    for row in rows:
        if row.role in _SKIPPED or row.law is None or not row.fan_in or not row.in_axes:
            continue
        promised = row.std_by(row.law) * sqrt(row.fan_in) / (row.gain or 1.0)
        if isfinite(promised) and promised > 0:
            by_name.setdefault(row.name, []).append(promised)
    if not by_name:
        raise DomainError(
            f"plan: calibrate needs weights that begin at a size; got pattern={pattern!r}, which means "
            "none. Name a weight that is summed over and not drawn as zeros."
        )
    return {name: sqrt(sum(p * p for p in held) / len(held)) for name, held in by_name.items()}
