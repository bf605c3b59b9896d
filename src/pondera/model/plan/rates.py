"""The second decision of a plan: what decays, how fast, and at which learning rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from pondera.model.decay import DecayGroups
from pondera.model.plan import decay as decays
from pondera.model.plan.planner import planner_of
from pondera.model.plan.row import PlanRow


class AbstractRates(ABC):
    """What a plan says to an optimizer."""

    rows: tuple[PlanRow, ...]

    @abstractmethod
    def bound(self, what: str) -> Any:
        """The model that the plan is bound to; an error that says what needs it if there is none."""

    def decay_table(self) -> str:
        """Which parameters decay, and why, a line each."""
        return DecayGroups((), decays.decay_rows(self.rows)).table()

    def param_groups(
        self,
        weight_decay: float | decays.Rates = 0.1,
        *,
        lr: float | None = None,
        independent: bool = False,
    ) -> DecayGroups:
        """Param groups for an optimizer, one per different decay and learning rate.

        Args:
            weight_decay: of all rows that decay, in the optimizer's unit, 0 ≤ weight_decay < ∞; or of
                each by its name, as `match_decay` and `timescale_decay` give it.
            lr: the learning rate, > 0; needed where the scheme has factors on it.
            independent: whether weight_decay is what a step takes off whatever the learning rate is; it
                is divided by each group's, as AdamW multiplies by it.

        Returns:
            A list of groups; `.rows` is the audit, `.table()` its text.

        Raises:
            DomainError: a number out of range, lr missing, no model bound, or blocks of one parameter
                that differ.
        """
        model = self.bound("param_groups")
        parameters = planner_of(model).parameters(model)
        options = {"weight_decay": weight_decay, "lr": lr, "independent": independent}
        return decays.groups_of(self.rows, parameters, **options)

    def match_decay(self, lr: float, *, otherwise: float | None = None) -> dict[str, float]:
        """For each decayed parameter the weight_decay at which AdamW keeps the RMS it starts with.

        AdamW's weights settle at √(lr/(2·weight_decay)) under noise (Kosson et al. 2024): with this decay
        they are there from the first step.

        Args:
            lr: AdamW's learning rate, > 0; a row's factor multiplies it.
            otherwise: for weights that start at 0 or are left alone; the median of the others if None.

        Returns:
            Name → weight_decay, for `param_groups(weight_decay=…)`.

        Raises:
            DomainError: lr is not positive.
        """
        return decays.matched(self.rows, lr=lr, otherwise=otherwise)

    def timescale_decay(
        self, epochs: float, *, lr: float, batch_size: int, n_samples: int
    ) -> dict[str, float]:
        """For each decayed parameter the weight_decay that averages its updates over some epochs.

        Args:
            epochs: time constant, > 0.
            lr: AdamW's learning rate, > 0; a row's factor multiplies it.
            batch_size: samples per step, ≥ 1.
            n_samples: samples per epoch, ≥ 1.

        Returns:
            Name → weight_decay, for `param_groups(weight_decay=…)`.

        Raises:
            DomainError: an argument is not positive.
        """
        training = {"batch_size": batch_size, "n_samples": n_samples}
        return decays.timescaled(self.rows, epochs, lr=lr, **training)
