"""Data → three splits of arrays: embedded digits, or whatever the user's loader returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError, ShapeError, placed
from pondera.model.adapter import AbstractAdapter, Array, Split, TaskKind
from pondera.study.sources import called, function_at, reason

_HELD_OUT: Final = 0.2  # of all rows for the test, and of the rest for validation
_FEWEST: Final = 20  # rows


@dataclass(frozen=True)
class Task:
    """What is to be learned.

    Args:
        name: where the data comes from.
        kind: classification (integer targets) or regression (floating point).
        train: rows to train on.
        validation: rows that choose the learning rate and the answer.
        test: rows that are scored once the choice is made.
        classes: number of classes seen, 0 for regression.
    """

    name: str
    kind: TaskKind
    train: Split
    validation: Split
    test: Split
    classes: int


def digits() -> tuple[Array, Array]:
    """scikit-learn's handwritten digits: 1,797 images of 8 × 8, scaled to [0, 1]; Alpaydin & Kaynak 1998."""
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    return (inputs / 16).astype(np.float32), targets.astype(np.int64)


def load_task(path: str | None, adapter: AbstractAdapter, *, seed: int) -> Task:
    """The task of a data path, split once by the seed.

    Args:
        path: "package.module:load", or None for the embedded digits. load() returns a pair (inputs, targets)
            of arrays or tensors, a data set or loader of such pairs, a pair (train, test) of any of those,
            or four arrays (train inputs, train targets, test inputs, test targets).
        adapter: of the framework, for its data sets and tensors.
        seed: decides the split, 0 ≤ seed < 2³².

    Returns:
        The task.

    Raises:
        DomainError, ShapeError: data that cannot be used, with the place and the remedy.
    """
    where = "--data" if path else "data"
    parts = _loaded(path, where, adapter, seed) if path else [Split(*digits())]
    for part, rows in zip(("train", "test") if len(parts) == 2 else ("",), parts, strict=True):
        _check(rows, f"{where} {part}".strip())
    kind: TaskKind = "classification" if _is_class(parts[0].targets) else "regression"
    if len(parts) == 1:
        rest, test = _split(parts[0], kind, seed)
    else:
        rest, test = parts
        _agree(rest, test, where)
    train, validation = _split(rest, kind, seed)
    for name, split in (("train", train), ("validation", validation), ("test", test)):
        _need_difference(split, name, kind, where)
    classes = 1 + int(max(s.targets.max() for s in (rest, test))) if kind == "classification" else 0
    name = path or "scikit-learn's handwritten digits (embedded)"
    return Task(name, kind, train, validation, test, classes)


def as_floats(task: Task) -> Task:
    """The task with integer inputs as floating-point numbers of the same size."""
    splits = {
        name: replace(split, inputs=split.inputs.astype(np.float32))
        for name, split in (
            ("train", task.train),
            ("validation", task.validation),
            ("test", task.test),
        )
    }
    return replace(task, name=f"{task.name} (integers as floats)", **splits)


def _loaded(path: str, where: str, adapter: AbstractAdapter, seed: int) -> list[Split]:
    """What the user's function returns, as one split or as train and test."""
    with adapter.seeded(0):  # a module may draw while it is imported
        function = function_at(path, option=where)
    with adapter.seeded(seed):  # shuffling loaders and random data come out alike each time
        loaded = called(function, path=path, option=where)
        try:
            parts = _parts(loaded, adapter)
        except DomainError as fact:
            raise placed(where, fact) from None
        except Exception as fault:
            raise DomainError(
                f"{where}: reading what {path} returned raised {reason(fault)}. Go through it once by "
                "hand, and mend what it says."
            ) from fault
    if parts:
        return parts
    found = type(loaded).__name__
    if isinstance(loaded, (list, tuple)):
        found += " of " + ", ".join(type(part).__name__ for part in loaded)
    raise DomainError(
        f"{where}: {path} must return (inputs, targets) as arrays, a data set, a loader, or a pair "
        f"(train, test) of those; got {found}. Return one of them."
    )


def _parts(loaded: Any, adapter: AbstractAdapter) -> list[Split]:
    """One split, or train and test; none where the object is nothing of the kind."""
    one = _rows(loaded, adapter)
    if one:
        return [one]
    if not isinstance(loaded, (list, tuple)):
        return []
    if len(loaded) == 4:
        loaded = (loaded[:2], loaded[2:])
    both = [_rows(part, adapter) for part in loaded] if len(loaded) == 2 else []
    return [split for split in both if split] if all(both) else []


def _rows(loaded: Any, adapter: AbstractAdapter) -> Split | None:
    """A pair of arrays or tensors, or a data set, as one split."""
    if isinstance(loaded, (list, tuple)):
        tensors = [adapter.is_data(part) and hasattr(part, "detach") for part in loaded]
        whole = [
            adapter.as_array(part) if tensor else part
            for part, tensor in zip(loaded, tensors, strict=True)
        ]
        pair = len(whole) == 2 and all(isinstance(part, np.ndarray) for part in whole)
        return Split(*whole) if pair else None
    return Split(*adapter.arrays(loaded)) if adapter.is_data(loaded) else None


def _check(rows: Split, where: str) -> None:
    x, y = rows.inputs, rows.targets
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        raise ShapeError(
            f"{where}: inputs and targets need equally many rows; got inputs.shape={x.shape}, "
            f"targets.shape={y.shape}. Pair them row by row."
        )
    if len(x) < _FEWEST:
        raise ShapeError(
            f"{where}: needs at least {_FEWEST} rows to train, choose and test; got {len(x)}. Add rows."
        )
    for what, array in (("inputs", x), ("targets", y)):
        if array.dtype.kind not in "biufc":
            raise DomainError(
                f"{where}: {what} must be numbers; got dtype={array.dtype}. "
                "Encode text and categories as integers first."
            )
        _need_finite(array, what, where)
    if _is_class(y) and (y.ndim > 1 or y.min() < 0):
        raise DomainError(
            f"{where}: integer targets are class numbers 0, 1, 2, … in one axis; got shape={y.shape}, "
            f"smallest {y.min()}. Flatten and renumber them, or pass floats for regression."
        )


def _need_finite(array: Array, what: str, where: str) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        first = tuple(int(k) for k in np.argwhere(~finite)[0])
        bad = int((~finite.reshape(len(array), -1)).any(axis=1).sum())
        raise DomainError(
            f"{where}: {what} must be finite; {bad} of {len(array)} rows hold NaN or infinity, "
            f"the first at index {first}. Drop or impute them."
        )


def _need_difference(rows: Split, name: str, kind: TaskKind, where: str) -> None:
    """Something is to be learned: more than one class, targets that differ."""
    if (rows.targets == rows.targets[:1]).all() and (kind == "regression" or name == "train"):
        raise DomainError(
            f"{where}: targets must differ; got {len(rows.targets)} equal ones among the {name} rows. "
            "Check what is to be learned, or add rows."
        )


def _is_class(targets: Array) -> bool:
    return targets.dtype.kind in "biu"


def _agree(train: Split, test: Split, where: str) -> None:
    same = train.inputs.shape[1:] == test.inputs.shape[1:]
    if not same or _is_class(train.targets) != _is_class(test.targets):
        raise ShapeError(
            f"{where}: train and test need the same kind of rows; got inputs {train.inputs.shape[1:]} "
            f"and {test.inputs.shape[1:]}, targets {train.targets.dtype} and {test.targets.dtype}. "
            "Prepare both alike."
        )


def _split(rows: Split, kind: TaskKind, seed: int) -> tuple[Split, Split]:
    """80 : 20, by class where every class has enough rows."""
    from sklearn.model_selection import train_test_split

    index: npt.NDArray[np.int64] = np.arange(len(rows.targets))
    balanced = kind == "classification" and _splits_by_class(rows.targets)
    most, least = train_test_split(
        index,
        test_size=_HELD_OUT,
        random_state=seed,
        stratify=rows.targets if balanced else None,
    )
    return _take(rows, np.sort(most)), _take(rows, np.sort(least))


def _splits_by_class(targets: Array) -> bool:
    _, counts = np.unique(targets, return_counts=True)
    return bool(counts.min() >= 2 and len(counts) <= _HELD_OUT * len(targets))


def _take(rows: Split, index: npt.NDArray[np.int64]) -> Split:
    return Split(rows.inputs[index], rows.targets[index])
