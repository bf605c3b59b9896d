"""Penalties a second time, from their Law lines and by brute force: slow, plain, independent.

Nothing here calls a prox, a gap or a layout. The law of a docstring is evaluated as it
stands; groups are found by looking at each weight's index; minima by trying points.
"""

import inspect
from types import SimpleNamespace

import numpy as np

from pondera.core import penalties as pn

SHAPE = (4, 6)
_LABELS = np.array([[0, 0, 7, 7, 7, 2], [0, 3, 3, 2, 2, 2], [5, 5, 5, 5, 5, 5], [9, 3, 7, 2, 0, 0]])
_REFERENCE = np.linspace(-1.5, 1.5, 24).reshape(SHAPE)[:, ::-1]

#: One of each kind, all for weights of SHAPE. A new penalty is added here and nowhere else.
PENALTIES = {
    "L1": pn.L1(0.7),
    "L2": pn.L2(0.7),
    "ElasticNet": pn.ElasticNet(0.7, 0.4),
    "L0": pn.L0(0.7),
    "LHalf": pn.LHalf(0.7),
    "MCP": pn.MCP(0.7, gamma=2.5),
    "SCAD": pn.SCAD(0.7, knot=3.2),
    "GroupLasso-rows": pn.GroupLasso(0.7, pn.Groups.rows()),
    "GroupLasso-columns-unweighted": pn.GroupLasso(0.7, pn.Groups.columns(), size_weighted=False),
    "GroupLasso-heads": pn.GroupLasso(0.7, pn.Groups.heads(axis=1, size=3)),
    "GroupLasso-labels": pn.GroupLasso(0.7, pn.Groups.labelled(_LABELS)),
    "SparseGroupLasso-tiles": pn.SparseGroupLasso(0.4, 0.3, pn.Groups.tiles((0, 1), (2, 3))),
    "SparseGroupLasso-labels": pn.SparseGroupLasso(0.4, 0.3, pn.Groups.labelled(_LABELS)),
    "Nuclear": pn.Nuclear(0.7),
    "NonNegative": pn.NonNegative(),
    "Box": pn.Box(-0.5, 0.8),
    "MaxNorm-rows": pn.MaxNorm(1.5),
    "MaxNorm-labels": pn.MaxNorm(1.5, pn.Groups.labelled(_LABELS)),
    "Distance-L1": pn.Distance(pn.L1(0.7), _REFERENCE),
    "Distance-MaxNorm": pn.Distance(pn.MaxNorm(1.5), _REFERENCE),
}


def law_text(owner) -> str:
    """The Law block of a docstring, as one expression."""
    return "(" + inspect.getdoc(owner).split("Law:\n")[1].split("\n\n")[0] + ")"


def parts(groups: pn.Groups, w: np.ndarray) -> list[np.ndarray]:
    """The weights of each group, found one weight at a time."""
    found: dict[object, list[float]] = {}
    for place, index in enumerate(np.ndindex(*w.shape)):
        if groups.labels is not None:
            key = groups.labels[place]
        else:
            key = tuple(
                index[axis] // size for axis, size in zip(groups.axes, groups.sizes, strict=True)
            )
        found.setdefault(key, []).append(w[index])
    return [np.array(group) for group in found.values()]


def law_value(penalty, w: np.ndarray, *, each: bool = False) -> np.ndarray:
    """The law at `w`; with `each`, the share of every weight (last axis: candidates)."""
    words = {
        "abs": np.abs, "sqrt": np.sqrt, "where": np.where, "inf": np.inf,
        "sum": (lambda terms: terms) if each else (lambda terms: np.sum(list(terms))),
        "norm": lambda g: np.sqrt(np.sum(g * g)), "size": np.size, "all": all,
        "singular_values": lambda m: np.linalg.svd(m, compute_uv=False),
        "eps": np.finfo(w.dtype).eps,
    }  # fmt: skip
    words |= vars(penalty) | {"w": w}
    if hasattr(penalty, "groups"):
        words["parts"] = lambda m: parts(penalty.groups, m)
    if isinstance(penalty, pn.Distance):
        inner = penalty.penalty
        words["penalty"] = SimpleNamespace(value=lambda v: law_value(inner, v, each=each))
        words["reference"] = penalty.reference[..., None] if each else penalty.reference
    return eval(law_text(type(penalty)), words | {"__builtins__": {}})


def separable(penalty) -> bool:
    """Whether the law is a sum over single weights."""
    law = law_text(type(getattr(penalty, "penalty", penalty)))
    return "parts(" not in law and "singular_values(" not in law


def objective(penalty, x: np.ndarray, w: np.ndarray, step) -> float:
    """What the prox is to minimise."""
    return float(np.sum((x - w) ** 2 / (2 * step)) + law_value(penalty, x))


def grid_minimum(penalty, w: np.ndarray, step) -> np.ndarray:
    """For a separable law: the lowest objective of each weight on a fine grid."""
    reach = np.max(np.abs(w)) + 1.6
    grid = np.union1d(np.linspace(-reach, reach, 4001), [0.0, -0.5, 0.8])
    spread = np.broadcast_to(grid, (*w.shape, grid.size))
    fit = (spread - w[..., None]) ** 2 / (2 * np.broadcast_to(step, w.shape)[..., None])
    return np.min(fit + law_value(penalty, spread, each=True), axis=-1)


def each_objective(penalty, x: np.ndarray, w: np.ndarray, step) -> np.ndarray:
    """For a separable law: the objective of each weight."""
    return (x - w) ** 2 / (2 * step) + law_value(penalty, x[..., None], each=True)[..., 0]


def neighbours(x: np.ndarray, w: np.ndarray, rng: np.random.Generator):
    """Points that a wrong prox would lose against: near, far, on the way, with parts at zero."""
    for size in 10.0 ** np.arange(-7, 1):
        for _ in range(4):
            yield x + size * rng.standard_normal(x.shape) * (rng.random(x.shape) < 0.3)
    for share in (-0.1, 0.1, 0.5, 0.9, 1.0, 1.1):
        yield x + share * (w - x)
        yield x * (1 - share)
    for axis in (0, 1):
        for index in range(x.shape[axis]):
            gone = x.copy()
            gone[(slice(None),) * axis + (index,)] = 0
            yield gone


#: argmin over u of Σ step/2·(u − v)² + conjugate(u), where it is known by itself.
CONJUGATE_PROX = {
    pn.L1: lambda p, v, step: np.clip(v, -p.strength, p.strength),
    pn.L2: lambda p, v, step: v * step / (step + 1 / (2 * p.strength)),
    pn.NonNegative: lambda p, v, step: np.minimum(v, 0),
    pn.GroupLasso: lambda p, v, step: _onto_balls(p, v),
    pn.Nuclear: lambda p, v, step: _clipped_spectrum(p, v),
}


def _onto_balls(penalty, v: np.ndarray) -> np.ndarray:
    out = np.empty_like(v)
    places = np.arange(v.size, dtype=float).reshape(v.shape)
    for members in parts(penalty.groups, places):
        where = members.astype(int)
        radius = penalty.strength * (np.sqrt(where.size) if penalty.size_weighted else 1)
        group = v.ravel()[where]
        out.ravel()[where] = group / max(1.0, np.linalg.norm(group) / radius)
    return out


def _clipped_spectrum(penalty, v: np.ndarray) -> np.ndarray:
    left, singular, right = np.linalg.svd(v, full_matrices=False)
    return (left * np.minimum(singular, penalty.strength)) @ right


def rounding(penalty, w: np.ndarray, step) -> float:
    """What (x − w)/step can be off by: 64 roundings of each weight, over its step."""
    reference = getattr(penalty, "reference", 0.0)
    step = np.min(step) if isinstance(penalty, pn.Nuclear) else step  # solved in that metric
    moved = (np.abs(w) + np.abs(reference)) / step
    return 64 * float(np.finfo(w.dtype).eps) * (float(np.sqrt(np.sum(moved**2))) + 1)
