"""The experiments as Markdown tables, a line at a time: what docs/printed-wrong.md and docs/bounds.md show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pondera.core.errors import unknown
from pondera.evidence.printed import FORMULAS, penalty_on_predictions, printed_formulas


def formulas() -> Iterator[str]:
    """Formulas for the start as they are printed."""
    heads = "as printed", "mean", "std", "accuracy, 3 layers", "10 layers", "what it is"
    yield from _head(*heads)
    for name, cost in printed_formulas().items():
        reached = [
            "diverged" if score != score else f"{score:.1%}" for score in (cost.shallow, cost.deep)
        ]
        text, where = FORMULAS[name].text, FORMULAS[name].where
        yield _line(text, f"{cost.mean:+.3f}", f"{cost.std:.3f}", *reached, where)


def predictions() -> Iterator[str]:
    """A penalty on the weights beside one on the predictions."""
    yield from _head("penalty", "weights that are 0", "Σ|w|", "mean |ŷ|", "training error")
    named = {"none": "none", "weights": "0.2·Σ|w|", "predictions": "0.2·mean |ŷ|"}
    for where, found in penalty_on_predictions().items():
        sizes = (found.weights, found.predictions, found.error)
        yield _line(named[where], f"{found.zeros} of 10", *(f"{size:.3f}" for size in sizes))


def strengths() -> Iterator[str]:
    """Forms of an L1 penalty, and the λ that each solves."""
    from pondera.evidence.bounds import FORMS, realised_strengths

    yield from _head(
        "as it is applied", "λ solved / λ asked", "exact zeros (3 are right)", "excess"
    )
    for name, solved in realised_strengths().items():
        zeros = f"{solved.zeros}, the right ones" if solved.support else f"{solved.zeros}"
        excess = f"{solved.excess:.0e}" if solved.excess > 1e-9 else "below 1e-9"
        yield _line(FORMS[name].text, f"{solved.share:.4f}", zeros, excess)


def noise() -> Iterator[str]:
    """Zeros from mini-batches, of a single step and by vote."""
    from pondera.evidence.support import noisy_lasso

    yield from _head("problem", "optimizer", "right after one step", "right by vote")
    for (problem, optimizer), found in noisy_lasso().items():
        yield _line(problem, optimizer, f"{found.last:.3f}", f"{found.voted:.3f}")


def selection() -> Iterator[str]:
    """Inputs that a network finds among many."""
    from pondera.evidence.support import friedman

    yield from _head("inputs kept", "R², dense", "with the penalty", "after the refit")
    found = friedman()
    kept = ", ".join(map(str, found.kept))
    yield _line(kept, f"{found.dense:.3f}", f"{found.shrunk:.3f}", f"{found.refit:.3f}")


def grokking() -> Iterator[str]:
    """Generalisation long after the fit, by decay."""
    from pondera.evidence.decay import grokking as measured

    yield from _head("decay", "step with 99 % held-out", "training accuracy", "held-out accuracy")
    for name, run in measured().items():
        step = "not in 600" if run.step is None else str(run.step)
        yield _line(name, step, f"{run.train:.3f}", f"{run.held:.3f}")


def equilibrium() -> Iterator[str]:
    """The size at which weights settle."""
    from pondera.evidence.decay import equilibrium as measured

    yield from _head("lr", "decay", "RMS measured", "√(lr/(2·decay))")
    for (lr, rate), (size, formula) in measured().items():
        yield _line(f"{lr:g}", f"{rate:g}", f"{size:.4f}", f"{formula:.4f}")


def descent() -> Iterator[str]:
    """Risk by the number of rows, bare and with the ridge."""
    from pondera.evidence.decay import double_descent

    yield from _head("rows", "risk, bare", "risk, λ = 125")
    for rows, (bare, ridged) in double_descent().items():
        peak = "above 1000" if bare > 1000 else f"{bare:.3g}"  # how far, rounding decides
        yield _line(str(rows), peak, f"{ridged:.3f}")


PRINTED: Final = ("formulas", "predictions")
BOUNDS: Final = ("strengths", "noise", "selection", "grokking", "equilibrium", "descent")
TABLES: Final[Mapping[str, Callable[[], Iterator[str]]]] = MappingProxyType(
    {
        "formulas": formulas,
        "predictions": predictions,
        "strengths": strengths,
        "noise": noise,
        "selection": selection,
        "grokking": grokking,
        "equilibrium": equilibrium,
        "descent": descent,
    }
)


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """Names of tables; "bounds" stands for all of docs/bounds.md, none for those of docs/printed-wrong.md.

    Raises:
        DomainError: no such table.
    """
    found = list[str]()
    for name in names:
        if name != "bounds" and name not in TABLES:
            raise unknown("evidence", "table", name, ("bounds", *TABLES))
        found += BOUNDS if name == "bounds" else (name,)
    return tuple(dict.fromkeys(found)) or PRINTED


def _head(*titles: str) -> Iterator[str]:
    yield _line(*titles)
    yield "|" + "---|" * len(titles)


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
