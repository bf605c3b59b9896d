"""The answer in words: which start, what it gained, how sure that is, and what is not claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from pondera.study.arms import ARMS
from pondera.study.race import Outcomes, Plan, plain_summary, scores
from pondera.study.statistics import Summary, summary

_BASELINE: Final = "default"
_VANISHED: Final = 1e-3  # of what the first layer holds
_EXPLODED: Final = 1e3
_NOTHING: Final = "# nothing to paste: no start learned in this study\n"


def answer(plan: Plan, found: Outcomes, setting: Mapping[str, Any]) -> dict[str, Any]:
    """Winner by validation rows, gain by test rows, both on fresh seeds.

    Args:
        plan: which runs there were.
        found: what came of them; at least one start did not diverge.
        setting: what was studied, as the result holds it.

    Returns:
        The answer, as JSON holds it.
    """
    finished = {a.name: runs for a in plan.arms if (runs := plan.runs(a.name, found))}
    winner = best_start(plan, found)
    against = _BASELINE if _BASELINE in finished and winner != _BASELINE else None
    gain = _gain(plan, found, winner, against) if against else None
    tied = [n for n in finished if n != winner and _tied(plan, found, winner, n)]
    best = median(scores(finished[winner], "test"))
    return {
        "winner": winner,
        "against": against,
        "gain": None if gain is None else plain_summary(gain),
        "tied": tied,
        "headline": _headline(winner, gain, finished[winner], setting),
        "claims": _claims(plan, found, winner, tied, gain, setting),
        "not_claimed": _not_claimed(plan, found, winner, tied, setting),
        "snippet": snippet(winner) if _learned(best, setting) else _NOTHING,
    }


def best_start(plan: Plan, found: Outcomes) -> str:
    """The start with the best median validation score on fresh seeds; of equals, the framework's own."""
    finished = {a.name: runs for a in plan.arms if (runs := plan.runs(a.name, found))}
    held = {name: median(scores(runs, "validation")) for name, runs in finished.items()}
    return max(held, key=lambda name: (held[name], name == _BASELINE))


def snippet(arm: str) -> str:
    """The lines of code that give a model this start."""
    scheme = ARMS[arm].scheme
    if not scheme:
        return "# keep the model as its framework initialises it\n"
    if scheme == "printed":
        return "# keep the model as it is; this formula is not offered\n"
    return (
        "import pondera\n\n"
        "# `inputs` is one batch, as your model's forward takes it\n"
        f'pondera.initialize(model, inputs, scheme="{scheme}", seed=0)\n'
    )


def look_words(look: Mapping[str, Any], chance: Mapping[str, float], score: str) -> list[str]:
    """What a look at a start shows, in sentences."""
    said = [_loss_words(look["initial_loss"], chance["loss"], score)]
    layers = look["layers"]
    if len(layers) < 2:
        return said
    for what, key, early, late in (
        ("what tells two inputs apart (spread)", "signal_spread", layers[0], layers[-1]),
        ("the gradient", "gradient_rms", layers[-1], layers[0]),
    ):
        said.append(_trend(what, early[key], late[key], early["depth"], late["depth"]))
    dead = [layer for layer in layers if layer["dead"]]
    if dead:
        worst = max(dead, key=lambda layer: layer["dead"])
        said.append(
            f"{worst['dead']:.0%} of the units of layer {worst['depth']} are 0 for every sample, the "
            "most of any layer."
        )
    return said


def _loss_words(loss: float | None, chance: float, score: str) -> str:
    classes = score == "accuracy"
    name = "ln(classes)" if classes else "that of the mean"
    if loss is None:
        return "The initial loss is not finite."
    large = "the outputs are too large" + (
        "" if classes else ", or the targets' mean is far from 0"
    )
    ratio = "as it should be" if loss < 1.2 * chance else large
    return f"The initial loss is {loss:.4g}; chance, {name}, is {chance:.4g}: {ratio}."


def _trend(what: str, early: float | None, late: float | None, first: int, last: int) -> str:
    if early is None or late is None:
        return f"From layer {first} to layer {last}, {what} leaves the range of float32."
    if early == 0 or late == 0:
        return f"From layer {first} to layer {last}, {what} falls to exactly 0."
    ratio = late / early
    verdict = "stays level"
    if ratio < _VANISHED:
        verdict = "vanishes"
    elif ratio > _EXPLODED:
        verdict = "explodes"
    elif not 0.1 < ratio < 10:
        verdict = "shrinks" if ratio < 1 else "grows"
    per_layer = ratio ** (1 / max(1, abs(last - first)))
    return (
        f"From layer {first} to layer {last}, {what} {verdict}: × {ratio:.3g} in all, "
        f"× {per_layer:.3g} per layer."
    )


def _gain(plan: Plan, found: Outcomes, winner: str, other: str) -> Summary:
    """Paired differences of test scores: same seed, same batches."""
    pairs = zip(
        scores(plan.runs(winner, found), "test"),
        scores(plan.runs(other, found), "test"),
        strict=True,
    )
    return summary([0.0 if a == b else a - b for a, b in pairs])


def _tied(plan: Plan, found: Outcomes, winner: str, other: str) -> bool:
    gain = _gain(plan, found, winner, other)
    return gain.low <= 0


def shown(number: float, score: str) -> str:
    """A score in words."""
    if math.isinf(number):
        return "diverged"
    return f"{number:.1%}" if score == "accuracy" else f"{number:.3f}"


def points_of(number: float, score: str) -> str:
    """A difference of scores in words, with a true minus."""
    if math.isinf(number):
        return "more than can be measured, as one diverged" if number > 0 else "diverged"
    said = f"{100 * number:+.1f} points" if score == "accuracy" else f"{number:+.3f}"
    return said.replace("-", "−")


def _learned(best: float, setting: Mapping[str, Any]) -> bool:
    return best > setting["chance"]["score"]


def _headline(
    winner: str, gain: Summary | None, runs: list[Any], setting: Mapping[str, Any]
) -> str:
    score, best = setting["score"], median(scores(runs, "test"))
    reached = f"{shown(best, score)} test {score} (median of {len(runs)} seeds)"
    if not _learned(best, setting):
        return (
            f"None of the starts learns in {setting['steps']} steps: the best, {ARMS[winner].title}, gives "
            f"{reached}; chance is {shown(setting['chance']['score'], score)}. Try more steps, other rates, or "
            "numbers brought to mean 0 and standard deviation 1."
        )
    if winner == _BASELINE:
        return f"Keep the framework's own start: {reached}; none of the others did better."
    title = ARMS[winner].title
    if gain is None:
        return f"Start with {title}: {reached}."
    if math.isinf(gain.median):
        return f"Start with {title}: {reached}; the framework's own start diverged."
    return f"Start with {title}: {reached}, {points_of(gain.median, score)} against the framework's own start."


def _claims(
    plan: Plan,
    found: Outcomes,
    winner: str,
    tied: list[str],
    gain: Summary | None,
    setting: Mapping[str, Any],
) -> list[str]:
    score, seeds = setting["score"], len(plan.fresh_seeds)
    best = summary(scores(plan.runs(winner, found), "test"))
    said = [
        f"{ARMS[winner].title} at learning rate {plan.rate(winner, found):g}: median test {score} "
        f"{shown(best.median, score)}, {best.coverage:.1%} interval of the median "
        f"{shown(best.low, score)} to {shown(best.high, score)} over {seeds} fresh seeds."
    ]
    if gain is not None and not math.isinf(gain.median):
        said.append(
            f"Against the framework's own start, each at its own best rate and seed by seed on the same "
            f"batches: {points_of(gain.median, score)} ({gain.coverage:.1%} interval "
            f"{points_of(gain.low, score)} to {points_of(gain.high, score)})."
        )
    gone = [a.title for a in plan.arms if plan.rate(a.name, found) is None]
    if gone:
        said.append(f"Diverged at every learning rate: {', '.join(gone)}.")
    if tied:
        names = ", ".join(ARMS[name].title for name in tied)
        said.append(f"Not told apart from the winner by these seeds: {names}.")
    return said


def _not_claimed(
    plan: Plan, found: Outcomes, winner: str, tied: list[str], setting: Mapping[str, Any]
) -> list[str]:
    rows, score = setting["rows"]["test"], setting["score"]
    said = [
        f"Anything beyond {setting['steps']} steps of {setting['optimizer']}: a start decides how training "
        "begins, and longer training or another optimizer can close the gap.",
        f"Other data or another architecture: this was {setting['model']} on {setting['data']}.",
    ]
    best = median(scores(plan.runs(winner, found), "test"))
    if score == "accuracy" and math.isfinite(best):
        error = math.sqrt(max(best * (1 - best), 0.25 / rows) / rows)
        said.append(
            f"The accuracy on new data to better than ±{100 * 1.96 * error:.1f} points: the interval is over "
            f"seeds, the test set is one set of {rows} rows."
        )
    edge = [
        ARMS[a.name].title
        for a in plan.arms
        if plan.rate(a.name, found) in (plan.rates[0], plan.rates[-1]) and a.name != winner
    ]
    if plan.rate(winner, found) in (plan.rates[0], plan.rates[-1]):
        said.append("That the winner's rate is its best: it lies at the edge of the grid.")
    if edge:
        said.append(
            f"That the grid held the best rate of {', '.join(edge)}: the best tried lies at its edge."
        )
    if tied:
        said.append("An order among the starts that were not told apart.")
    return said
