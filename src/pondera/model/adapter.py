"""What a framework must offer, and what travels between it and the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pondera.model.decay import DecayGroups
from pondera.model.graph import Network
from pondera.model.rows import Row

Array = npt.NDArray[Any]
TaskKind = Literal["classification", "regression"]
Optimizer = Literal["adamw", "sgd"]


@dataclass(frozen=True)
class Layer:
    """One weight's output, measured on a batch at the start.

    Args:
        depth: 1 for the first weight used.
        name: the parameter's name.
        kind: "dense" or "conv".
        shape: the stored shape.
        signal_rms: RMS of the output (the pre-activation).
        signal_spread: RMS over units of the std across samples: what still tells inputs apart.
        gradient_rms: RMS of the gradient of each sample's loss with respect to the output.
        dead: fraction of units that are 0 for every sample behind the activation; None where the output
            is not followed by one.
    """

    depth: int
    name: str
    kind: str
    shape: tuple[int, ...]
    signal_rms: float
    signal_spread: float
    gradient_rms: float
    dead: float | None


@dataclass(frozen=True)
class Look:
    """A model at its start, measured on one batch.

    Args:
        loss: loss on the batch.
        layers: one record per weight use, in forward order.
    """

    loss: float
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Split:
    """Rows of a data set: inputs (first axis: samples) and targets.

    Args:
        inputs: shape (n, …).
        targets: shape (n,) of class numbers, or (n, …) of floats for regression.
    """

    inputs: Array
    targets: Array


@dataclass(frozen=True)
class Training:
    """How one run is trained; equal for all arms.

    Args:
        kind: "classification" (cross-entropy) or "regression" (mean squared error).
        optimizer: "sgd" with the momentum, or "adamw" with the framework's defaults.
        momentum: of sgd.
        rate: learning rate, constant.
        batches: integer array (steps, batch size): the rows of each batch.
        curve_steps: steps at which the batch's loss is kept.
        seed: of whatever else is random in training, such as dropout.
    """

    kind: TaskKind
    optimizer: Optimizer
    momentum: float
    rate: float
    batches: npt.NDArray[np.int64]
    curve_steps: tuple[int, ...]
    seed: int = 0


@dataclass(frozen=True)
class Run:
    """What one run gave.

    Args:
        losses: the batch's loss at each of the curve's steps; NaN from divergence on.
        diverged_at: the first step whose loss is not finite, or None.
        scores: score (accuracy, or R²) on each split asked for; NaN if diverged.
    """

    losses: tuple[float, ...]
    diverged_at: int | None
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Path:
    """Training along rising strengths of one bound, each point going on from the one before.

    Args:
        bound: "none", "l2", "decay", "l1", "elastic" or "group".
        strengths: of each point; 0 is no bound.
        steps: steps spent on each point.
        weights: names of the parameters under the bound.
        refit: freeze the zeros after the last point and train as many steps once more without shrinkage.
    """

    bound: str
    strengths: tuple[float, ...]
    steps: tuple[int, ...]
    weights: tuple[str, ...]
    refit: bool


@dataclass(frozen=True)
class PathPoint:
    """Where one point of a path ends.

    Args:
        strength: of the bound.
        scores: on each split asked for.
        zeros: share of the bounded weights that are exactly 0.
        units: share of their outputs (rows) that are 0 altogether.
    """

    strength: float
    scores: tuple[float, ...]
    zeros: float
    units: float


class AbstractAdapter(ABC):
    """What a framework must offer."""

    @abstractmethod
    def is_model(self, candidate: object) -> bool:
        """Whether the object is a model of this framework."""

    @abstractmethod
    def is_data(self, candidate: object) -> bool:
        """Whether the object is a data set, loader or tensor of this framework."""

    @abstractmethod
    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """Global generators begin at a seed inside; behind they are as before."""

    @abstractmethod
    def arrays(self, loaded: Any) -> tuple[Array, Array]:
        """Inputs and targets of a data set or loader, as arrays.

        Raises:
            DomainError: its items are no pairs.
        """

    @abstractmethod
    def as_array(self, tensor: Any) -> Array:
        """A tensor as an array."""

    @abstractmethod
    def build(self, factory: Callable[[], Any], *, seed: int, inputs: Array | None = None) -> Any:
        """A model as the framework initialises it from this seed; global generators as before.

        Inputs give a model their shape that waits for it.
        """

    @abstractmethod
    def trainable(self, model: Any) -> bool:
        """Whether any parameter of the model is to be trained."""

    @abstractmethod
    def shares(self, model: Any, other: Any) -> bool:
        """Whether the two models have a parameter in common."""

    @abstractmethod
    def initialize(self, model: Any, example: Any, *, scheme: str, seed: int) -> tuple[Row, ...]:
        """See `pondera.initialize`."""

    @abstractmethod
    def observe(self, model: Any, example: Any) -> Network:
        """What one forward pass shows."""

    @abstractmethod
    def fill(self, model: Any, rows: Sequence[Row], *, seed: int) -> None:
        """Draw each row's law into its parameter."""

    @abstractmethod
    def write(self, model: Any, weights: Mapping[str, Array]) -> None:
        """Write the arrays into the parameters of these names."""

    @abstractmethod
    def outputs(self, model: Any, inputs: Array) -> Array:
        """The model's output on the inputs, without training it."""

    @abstractmethod
    def look(self, model: Any, batch: Split, *, kind: TaskKind) -> Look:
        """Signal, gradient, dead units and loss on one batch, layer by layer; the model unchanged."""

    @abstractmethod
    def train(self, model: Any, train: Split, splits: Sequence[Split], training: Training) -> Run:
        """Train the model in place and score it on the splits."""

    @abstractmethod
    def train_path(
        self, model: Any, train: Split, splits: Sequence[Split], training: Training, path: Path
    ) -> list[PathPoint]:
        """Train the model in place along a path; a path that diverges ends early."""

    @abstractmethod
    def summary(self, model: Any) -> tuple[str, int]:
        """What the model is, in a few words, and how many numbers its parameters hold."""

    @abstractmethod
    def decay_groups(
        self,
        model: Any,
        *,
        weight_decay: float,
        embeddings: bool,
        decay: Sequence[str],
        keep: Sequence[str],
    ) -> DecayGroups:
        """See `pondera.decay_groups`."""

    @abstractmethod
    def version(self) -> str:
        """The framework's version."""
