"""The page's tables and lists as plain rows of text; the template escapes and sets them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pondera.report.arms import Arm, arms_of
from pondera.report.lanes import fate
from pondera.report.rows import Result, Row, layers_of, shape_text, spaced
from pondera.report.scores import Score
from pondera.report.wording import ABSENT, counted, listed, number, percent

MOST_LISTED = 60  # layers in a table; the first and the last are always among them


def contrast(result: Result) -> list[dict[str, str]]:
    """The three numbers of the answer: before, after and the gain; none without a winner."""
    answer, race, score = result["answer"], result["race"], Score.of(result)
    gain, winner, against = answer["gain"], answer["winner"], answer["against"]
    if not gain or winner not in race or against not in race:
        return []
    labels = {arm.key: arm.label for arm in arms_of(result)}
    before, after = ((f"{score.name} with {labels[key]}", race[key]) for key in (against, winner))
    return contrasted(score, before=before, after=after, gain=gain)


def contrasted(
    score: Score, *, before: tuple[str, Row], after: tuple[str, Row], gain: Row
) -> list[dict[str, str]]:
    """Two entries, each with what it is, and the gain from one to the other."""
    pair = [
        {"number": score(entry["median"]), "what": what, "interval": score.interval(entry)}
        for what, entry in (before, after)
    ]
    gained = {
        "number": score.gain(gain["median"]),
        "what": "gain, seed by seed",
        "interval": score.interval(gain, gain=True),
    }
    return [*pair, gained]


def interval_heading(entries: Iterable[Row]) -> str:
    """What stands over the intervals of these entries: how sure they are, if all are equally."""
    sure = coverage(entries)
    return "Interval" if sure is None else f"{percent(sure)} interval"


def coverage(entries: Iterable[Row]) -> float | None:
    """The coverage that all intervals share; None if they differ."""
    coverages = {entry["coverage"] for entry in entries if entry["coverage"]}
    return coverages.pop() if len(coverages) == 1 else None


def standings(result: Result) -> list[dict[str, Any]]:
    """A row per start of the race."""
    score, sure = Score.of(result), coverage(result["race"].values()) is None
    return [
        {
            "arm": arm,
            "law": entry["law"],
            "source": entry["source"],
            "rate": ABSENT if entry["rate"] is None else f"{entry['rate']:g}",
            "median": score(entry["median"]),
            "interval": score.interval(entry, sure=sure),
            "runs": f"{_finished(entry)} of {len(entry['runs'])}",
            "remark": remark(entry),
        }
        for arm in arms_of(result)
        if (entry := result["race"].get(arm.key))
    ]


def _finished(entry: Row) -> int:
    return sum(run["test_score"] is not None for run in entry["runs"])


def remark(entry: Row) -> str:
    """What a reader must know before believing a row of the race; mostly nothing."""
    edge = "best rate at the edge of those tried" if entry["rate_at_edge"] else ""
    return "; ".join(filter(None, [fate(entry), edge]))


def looks(result: Result) -> list[dict[str, Any]]:
    """A look per start: what was found, in words, and the layers it was found in."""
    return [
        _look(arm, look, layers_of(result, arm.key))
        for arm in arms_of(result)
        if (look := result["looks"].get(arm.key))
    ]


def _look(arm: Arm, look: Row, layers: list[Row]) -> dict[str, Any]:
    kept = spaced(len(layers), MOST_LISTED)
    return {
        "arm": arm,
        "words": look["words"],
        "layers": [_layer(layers[index]) for index in kept],
        "shown": f"{len(kept)} of {counted(len(layers), 'layer')}, evenly spaced"
        if len(kept) < len(layers)
        else counted(len(layers), "layer"),
    }


def _layer(layer: Row) -> dict[str, str]:
    dead = layer["dead"]
    return {
        "depth": str(layer["depth"]),
        "name": layer["name"],
        "kind": layer["kind"],
        "shape": shape_text(layer["shape"]),
        "signal": number(layer["signal_rms"]),
        "spread": number(layer["signal_spread"]),
        "gradient": number(layer["gradient_rms"]),
        "dead": ABSENT if dead is None else f"{100 * dead:.0f}%",
    }


def setting_list(result: Result) -> list[tuple[str, str]]:
    """Everything that was held fixed, so that the study can be run again."""
    setting, times, score = result["setting"], result["times"], Score.of(result)
    chance, versions = setting["chance"], {"pondera": result["pondera"], **result["versions"]}
    return [
        ("Model", setting["model"]),
        ("Network", setting["model_summary"]),
        ("Numbers to learn", f"{setting['parameters']:,} in {setting['weights']:,} weights"),
        ("Data", setting["data"]),
        ("Rows", ", ".join(f"{count:,} for {use}" for use, count in setting["rows"].items())),
        ("Input and output", f"{shape_text(setting['input_shape'])} → {setting['outputs']:,}"),
        ("Task", f"{setting['task']}, scored by {score.name}"),
        ("Chance", f"loss {number(chance['loss'])}, {score.name} {score(chance['score'])}"),
        ("Optimizer", setting["optimizer"]),
        ("Steps", f"{setting['steps']:,} with {counted(setting['batch_size'], 'row')} each"),
        ("Learning rates tried", ", ".join(f"{rate:g}" for rate in setting["rates"])),
        ("Fresh seeds", listed([str(seed) for seed in setting["fresh_seeds"]], most=20)),
        ("Seed of the study", str(setting["seed"])),
        ("Time", f"{number(times['seconds'])} s for {counted(times['runs'], 'run')}"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]


def tied(result: Result) -> list[str]:
    """The starts that the race could not tell from the winner."""
    labels = {arm.key: arm.label for arm in arms_of(result)}
    return [labels[key] for key in result["answer"]["tied"] if key in labels]
