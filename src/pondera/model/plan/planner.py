"""What a plan asks of a framework, and who answers for which."""

from __future__ import annotations

import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pondera.core.errors import DomainError
from pondera.model.plan.row import Fill, PlanRow
from pondera.model.trace import Graph

_PLANNERS: Final = {"torch": "pondera.torch.planner"}


@dataclass(frozen=True)
class Moments:
    """What a block of a parameter holds now.

    Args:
        mean: of its numbers.
        std: of its numbers, without a correction.
    """

    mean: float
    std: float


class AbstractPlanner(ABC):
    """What a framework must offer for plans."""

    @abstractmethod
    def is_model(self, candidate: object) -> bool:
        """Whether the object is a model of this framework."""

    @abstractmethod
    def trace(self, model: Any, example: Any, *, execute: bool) -> Graph:
        """What one pass does, without numbers unless `execute`."""

    @abstractmethod
    def shapes(self, model: Any) -> Mapping[str, tuple[int, ...]]:
        """Name → stored shape of every parameter, in the model's order."""

    @abstractmethod
    def parameters(self, model: Any) -> Mapping[str, Any]:
        """Name → what an optimizer takes for the parameter."""

    @abstractmethod
    def fill(self, model: Any, fills: Sequence[Fill], *, seed: int) -> None:
        """Draw all of it in place, or nothing."""

    @abstractmethod
    def calibrate(
        self, model: Any, batch: Any, targets: Mapping[str, float]
    ) -> Mapping[str, float]:
        """Multiply weights so that their outputs on the batch have these RMS; all or none.

        Returns:
            Name → factor, of the weights that the pass used.
        """

    @abstractmethod
    def moments(self, model: Any, rows: Sequence[PlanRow]) -> list[Moments]:
        """What the rows' blocks hold now.

        Raises:
            DomainError: a parameter has no memory.
        """

    @abstractmethod
    def meta(self, model: Any) -> Sequence[str]:
        """Names of the parameters that have no memory."""


def planner_of(model: object) -> AbstractPlanner:
    """Who answers for a model's framework.

    Args:
        model: a model of a framework that Pondera knows: a torch.nn.Module.

    Returns:
        The planner.

    Raises:
        DomainError: the model belongs to no framework that is known and imported.
    """
    for framework, place in _PLANNERS.items():
        if framework in sys.modules:
            planner = importlib.import_module(place).PLANNER
            if planner.is_model(model):
                return planner
    raise DomainError(
        f"plan: needs a torch.nn.Module; got {type(model).__name__}. Pass the model itself, not its "
        "class or its weights."
    )
