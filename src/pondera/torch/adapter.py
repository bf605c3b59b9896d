"""PyTorch's side of `model.adapter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.data import DataLoader, Dataset, IterableDataset

from pondera.core.errors import DomainError
from pondera.model.adapter import (
    AbstractAdapter,
    Array,
    Look,
    Path,
    PathPoint,
    Run,
    Split,
    TaskKind,
    Training,
)
from pondera.model.decay import DecayGroups
from pondera.model.graph import Network
from pondera.model.rows import Row
from pondera.torch.bounds.decay import decay_groups
from pondera.torch.initialize import fill, initialize, network_of
from pondera.torch.keep import evaluating, predicted, seeded
from pondera.torch.measure import look
from pondera.torch.path import train_path
from pondera.torch.train import train


class TorchAdapter(AbstractAdapter):
    """See the abstract class."""

    def is_model(self, candidate: object) -> bool:
        return isinstance(candidate, nn.Module)

    def is_data(self, candidate: object) -> bool:
        return isinstance(candidate, (Dataset, DataLoader, torch.Tensor))

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        return seeded(seed)

    def arrays(self, loaded: Any) -> tuple[Array, Array]:
        if isinstance(loaded, DataLoader):
            batches = [_pair(batch) for batch in loaded]
        elif isinstance(loaded, IterableDataset):
            batches = [_pair(batch) for batch in DataLoader(loaded, batch_size=256)]
        else:
            loader = DataLoader(loaded, batch_size=256, shuffle=False)
            batches = [_pair(batch) for batch in loader]
        if not batches:
            raise DomainError("the loader gave no batch. Return at least one row.")
        inputs, targets = zip(*batches, strict=True)
        return np.concatenate(inputs), np.concatenate(targets)

    def as_array(self, tensor: Any) -> Array:
        return _array(tensor)

    def build(self, factory: Callable[[], Any], *, seed: int, inputs: Array | None = None) -> Any:
        with seeded(seed):
            model = factory()
            waits = isinstance(model, nn.Module) and any(map(is_lazy, model.parameters()))
            if waits and inputs is not None:
                with evaluating(model):
                    predicted(model, _entering(model, inputs))
            return model

    def trainable(self, model: Any) -> bool:
        return any(p.requires_grad for p in model.parameters())

    def shares(self, model: Any, other: Any) -> bool:
        return bool({id(p) for p in model.parameters()} & {id(p) for p in other.parameters()})

    def initialize(self, model: Any, example: Any, *, scheme: str, seed: int) -> tuple[Row, ...]:
        return initialize(model, _entering(model, example), scheme=scheme, seed=seed)

    def observe(self, model: Any, example: Any) -> Network:
        return network_of(model, _entering(model, example))

    def fill(self, model: Any, rows: Sequence[Row], *, seed: int) -> None:
        fill(model, rows, seed=seed)

    def write(self, model: Any, weights: Mapping[str, Array]) -> None:
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, array in weights.items():
                parameters[name].copy_(torch.from_numpy(array))

    def outputs(self, model: Any, inputs: Array) -> Array:
        with evaluating(model), seeded(None):
            output = predicted(model, _entering(model, inputs))
        if not isinstance(output, torch.Tensor):
            raise DomainError(
                f"model: must return one tensor of outputs; got {type(output).__name__}. "
                "Wrap the model so that its forward returns the logits alone."
            )
        return _array(output)

    def look(self, model: Any, batch: Split, *, kind: TaskKind) -> Look:
        return look(model, *_tensors(model, batch, kind), kind=kind)

    def train(
        self, model: Any, train_rows: Split, splits: Sequence[Split], training: Training
    ) -> Run:
        rows = _tensors(model, train_rows, training.kind)
        return train(model, rows, [_tensors(model, s, training.kind) for s in splits], training)

    def train_path(
        self, model: Any, train: Split, splits: Sequence[Split], training: Training, path: Path
    ) -> list[PathPoint]:
        rows = _tensors(model, train, training.kind)
        scored = [_tensors(model, split, training.kind) for split in splits]
        return train_path(model, rows, scored, training, path)

    def summary(self, model: Any) -> tuple[str, int]:
        count = sum(p.numel() for p in model.parameters())
        layers = sum(1 for module in model.modules() if not list(module.children()))
        return f"{type(model).__name__} of {layers} modules", count

    def decay_groups(
        self,
        model: Any,
        *,
        weight_decay: float,
        embeddings: bool,
        decay: Sequence[str],
        keep: Sequence[str],
    ) -> DecayGroups:
        return decay_groups(
            model, weight_decay=weight_decay, embeddings=embeddings, decay=decay, keep=keep
        )

    def version(self) -> str:
        return torch.__version__


def _entering(model: nn.Module, example: Any) -> Any:
    """An array as a tensor that the model can take, on its device; anything else as it is."""
    if not isinstance(example, np.ndarray):
        return example
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    tensor = _tensor(example).to(None if first is None else first.device)
    if not tensor.is_floating_point():
        return tensor if tensor.is_complex() else tensor.long()
    return tensor.to(torch.float32 if first is None else first.dtype)


def _tensors(model: nn.Module, rows: Split, kind: TaskKind) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = _entering(model, rows.inputs)
    targets = _tensor(rows.targets).to(inputs.device)
    if kind == "classification":
        return inputs, targets.long()
    return inputs, targets.to(inputs.dtype if inputs.is_floating_point() else torch.float32)


def _tensor(array: Array) -> torch.Tensor:
    """A tensor of the array's numbers, in memory that may be written."""
    whole = np.require(array, requirements=("C", "W"))
    return torch.from_numpy(whole.astype(whole.dtype.newbyteorder("="), copy=False))


def _array(tensor: torch.Tensor) -> Array:
    """An array of the tensor's numbers; NumPy has no bfloat16."""
    plain = tensor.detach().cpu()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()


def _pair(batch: Any) -> tuple[Array, Array]:
    if not (isinstance(batch, (list, tuple)) and len(batch) == 2):
        found = type(batch).__name__ + (f" of {len(batch)}" if hasattr(batch, "__len__") else "")
        raise DomainError(
            f"each item must be a pair (inputs, targets); got {found}. "
            "Return two tensors per sample."
        )
    inputs, targets = (_array(torch.as_tensor(part)) for part in batch)
    return np.atleast_1d(inputs), np.atleast_1d(targets)


ADAPTER = TorchAdapter()
