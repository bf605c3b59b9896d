"""Data → three splits of arrays: embedded digits, or whatever the user's loader returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError, ShapeError
from pondera.model.adapter import AbstractAdapter, Array, Split, TaskKind
from pondera.study.sources import called, function_at

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
            of arrays or tensors, a data set or loader of such pairs, a pair (train, test) of data sets or
            loaders, or four arrays (train inputs, train targets, test inputs, test targets).
        adapter: of the framework, for its data sets and tensors.
        seed: decides the split, 0 ≤ seed < 2³².

    Returns:
        The task.

    Raises:
        DomainError, ShapeError: data that cannot be used, with the place and the remedy.
    """
    where = "--data" if path else "data"
    loaded = called(function_at(path, option=where), option=where) if path else digits()
    parts = _parts(loaded, adapter)
    for part, rows in zip(("train", "test") if len(parts) == 2 else ("",), parts, strict=True):
        _check(rows, f"{where} {part}".strip())
    kind: TaskKind = "classification" if _is_class(parts[0].targets) else "regression"
    if len(parts) == 1:
        rest, test = _split(parts[0], kind, seed)
    else:
        rest, test = parts
        _agree(rest, test, where)
    train, validation = _split(rest, kind, seed)
    classes = 1 + int(max(s.targets.max() for s in (rest, test))) if kind == "classification" else 0
    name = path or "scikit-learn's handwritten digits (embedded)"
    return Task(name, kind, train, validation, test, classes)


def _parts(loaded: Any, adapter: AbstractAdapter) -> list[Split]:
    if isinstance(loaded, (list, tuple)):
        whole = [
            adapter.as_array(part) if adapter.is_data(part) and hasattr(part, "detach") else part
            for part in loaded
        ]
        if len(whole) in (2, 4) and all(isinstance(part, np.ndarray) for part in whole):
            return [Split(*whole[k : k + 2]) for k in range(0, len(whole), 2)]
        if len(whole) == 2 and all(adapter.is_data(part) for part in whole):
            return [Split(*adapter.arrays(part)) for part in whole]
    elif adapter.is_data(loaded):
        return [Split(*adapter.arrays(loaded))]
    found = type(loaded).__name__
    if isinstance(loaded, (list, tuple)):
        found += " of " + ", ".join(type(part).__name__ for part in loaded)
    raise DomainError(
        f"--data: load() must return (inputs, targets) as arrays, a data set, a loader, or a pair "
        f"(train, test) of those; got {found}. Return one of them."
    )


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
        finite = np.isfinite(array)
        if not finite.all():
            first = tuple(int(k) for k in np.argwhere(~finite)[0])
            bad = int((~finite.reshape(len(array), -1)).any(axis=1).sum())
            raise DomainError(
                f"{where}: {what} must be finite; {bad} of {len(array)} rows hold NaN or infinity, "
                f"the first at index {first}. Drop or impute them."
            )
    if _is_class(y) and (y.ndim > 1 or y.min() < 0):
        raise DomainError(
            f"{where}: integer targets are class numbers 0, 1, 2, … in one axis; got shape={y.shape}, "
            f"smallest {y.min()}. Renumber them, or pass floats for regression."
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
    counts = np.bincount(targets)
    present = counts[counts > 0]
    return bool(present.min() >= 2 and len(present) <= _HELD_OUT * len(targets))


def _take(rows: Split, index: npt.NDArray[np.int64]) -> Split:
    return Split(rows.inputs[index], rows.targets[index])
