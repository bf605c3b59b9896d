"""The pictures of a study in the order in which they explain it, and their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import altair as alt
import vl_convert

from pondera.report import bound_captions, bound_charts, captions, charts, race
from pondera.report.arms import bounds_of
from pondera.report.axes import finite
from pondera.report.bounds import path_rows
from pondera.report.rows import Result, curve_rows, grid_rows, layer_rows
from pondera.report.theme import LIGHT, Theme


@dataclass(frozen=True)
class Figure:
    """One picture: its name in files and links, its heading, what makes it, and whose marks it shows."""

    name: str
    title: str
    chart: Callable[..., alt.LayerChart]
    caption: Callable[[Result], str]
    notes: Callable[[Result], list[str]]
    group: Literal["starts", "bounds"] = "starts"

    def spoken(self, result: Result) -> str:
        """What a reader who cannot see the picture is told of it."""
        return " ".join([f"{self.title}.", self.caption(result), *self.notes(result)])


RACE = Figure("race", "The race", race.race_chart, captions.race_caption, captions.race_notes)
SIGNAL = Figure(
    "signal",
    "The signal, layer by layer",
    charts.signal_chart,
    captions.signal_caption,
    partial(captions.layer_notes, field="signal_rms"),
)
SPREAD = Figure(
    "spread",
    "What tells two inputs apart",
    charts.spread_chart,
    captions.spread_caption,
    partial(captions.layer_notes, field="signal_spread"),
)
GRADIENT = Figure(
    "gradient",
    "The gradient, on its way back",
    charts.gradient_chart,
    captions.gradient_caption,
    partial(captions.layer_notes, field="gradient_rms"),
)
LOSSES = Figure(
    "losses",
    "The training loss",
    charts.losses_chart,
    captions.losses_caption,
    captions.losses_notes,
)
RATES = Figure(
    "rates",
    "The learning rate each start was given",
    charts.rates_chart,
    captions.rates_caption,
    captions.rates_notes,
)
BOUNDS = Figure(
    "bounds",
    "What each bound ends with",
    bound_charts.bounds_chart,
    bound_captions.bounds_caption,
    bound_captions.bounds_notes,
    "bounds",
)
STRENGTHS = Figure(
    "strengths",
    "How strong",
    bound_charts.strengths_chart,
    bound_captions.strengths_caption,
    bound_captions.strengths_notes,
    "bounds",
)
ZEROS = Figure(
    "zeros",
    "Weights that became exactly zero",
    bound_charts.zeros_chart,
    bound_captions.zeros_caption,
    bound_captions.zeros_notes,
    "bounds",
)


def figures(result: Result) -> tuple[Figure, ...]:
    """The pictures for which the result has numbers; both races are shown even when all was lost."""
    layers = layer_rows(result)
    measured = {
        SPREAD: finite(row["spread"] for row in layers),
        SIGNAL: finite(row["signal"] for row in layers),
        GRADIENT: finite(row["gradient"] for row in layers),
        LOSSES: finite(row["loss"] for row in curve_rows(result)),
        RATES: grid_rows(result)[0],
    }
    raced = (RACE,) if result["race"] else ()
    return (*raced, *_with_numbers(measured), *_of_bounds(result))


def _of_bounds(result: Result) -> tuple[Figure, ...]:
    """The pictures of the second half, if there was one."""
    if not bounds_of(result):
        return ()
    rows = path_rows(result)
    by_strength = {
        STRENGTHS: finite(row["at"] for row in rows),
        ZEROS: finite(row["zeros"] for row in rows),
    }
    return (BOUNDS, *_with_numbers(by_strength))


def _with_numbers(measured: Mapping[Figure, Sized]) -> tuple[Figure, ...]:
    return tuple(figure for figure, numbers in measured.items() if numbers)


def save_charts(result: Result, folder: Path | str, *, theme: Theme = LIGHT) -> list[Path]:
    """Write each picture as PNG and as SVG into `folder`, made if absent; the paths, in order.

    No browser takes part, and nothing is fetched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for figure in figures(result):
        spec = figure.chart(result, theme=theme).to_dict()
        drawing, picture = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
        settings: dict[str, Any] = {"vl_version": vega_lite_version(), "allowed_base_urls": []}
        drawing.write_text(vl_convert.vegalite_to_svg(spec, **settings), encoding="utf-8")
        picture.write_bytes(vl_convert.vegalite_to_png(spec, ppi=144, **settings))
        paths += [drawing, picture]
    return paths


def vega_lite_version() -> str:
    """The bundled Vega-Lite that reads what the installed altair writes.

    The same minor version where it is bundled, else the newest of the same major one.
    """
    written = alt.SCHEMA_VERSION.removeprefix("v").split(".")
    bundled = vl_convert.get_vegalite_versions()
    exact = ".".join(written[:2])
    same_major = [version for version in bundled if version.split(".")[0] == written[0]]
    return exact if exact in bundled else same_major[-1]
