"""Two grounds, light and dark, and one palette for each; every colour of a picture is named here.

The series colours were searched so that any two of the eight stay apart under normal and
dichromatic sight, each at contrast 3 or more against its ground (tests/test_report_theme.py measures both).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

FONT = "-apple-system, 'Segoe UI', 'Noto Sans', Ubuntu, Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colours of one ground, as CSS writes them."""

    ground: str
    raised: str  # panels, code and tooltips
    line: str  # grid lines and borders
    muted: str  # axis labels and side remarks
    ink: str
    accent: str  # links, focus and buttons
    series: tuple[str, ...]


LIGHT = Theme(
    ground="#ffffff",
    raised="#f5f6f7",
    line="#dfe2e6",
    muted="#59616b",
    ink="#16191d",
    accent="#1d45ac",
    series=(
        "#373e45",
        "#954a00",
        "#048779",
        "#e74fc0",
        "#a98c00",
        "#1d45ac",
        "#7f43dd",
        "#0196e2",
    ),
)
DARK = Theme(
    ground="#15181d",
    raised="#1e2229",
    line="#343a44",
    muted="#a2abb8",
    ink="#eceff3",
    accent="#8fa6ff",
    series=(
        "#a3acb3",
        "#fe560a",
        "#97feed",
        "#ac5694",
        "#f6c81d",
        "#4967f9",
        "#d07ae7",
        "#4dd5fa",
    ),
)
_PLAIN = tuple(field.name for field in fields(Theme) if field.name != "series")
# In the page a colour is the name of a CSS variable, so that a change of ground redraws nothing.
PAGE = Theme(
    **{name: f"var(--{name})" for name in _PLAIN},
    series=tuple(f"var(--series-{number})" for number in range(len(LIGHT.series))),
)


def css_variables(theme: Theme) -> dict[str, str]:
    """The variables that `PAGE` names, set to the colours of `theme`."""
    series = {f"--series-{number}": colour for number, colour in enumerate(theme.series)}
    return {f"--{name}": getattr(theme, name) for name in _PLAIN} | series


def vega_config(theme: Theme) -> dict[str, Any]:
    """The Vega-Lite configuration that puts a chart on the ground of `theme`."""
    return {
        "aria": False,  # the page describes each picture as a whole
        "background": "transparent" if theme is PAGE else theme.ground,
        "font": FONT,
        "padding": 5 if theme is PAGE else 16,
        "range": {"category": list(theme.series)},
        "view": {"stroke": None},
        "text": {"fill": theme.muted, "fontSize": 12},
        "rule": {"stroke": theme.muted},
        "axis": _axis(theme),
        "legend": {
            "labelColor": theme.ink,
            "labelFontSize": 12,
            "labelLimit": 220,
            "symbolSize": 120,
            "symbolStrokeWidth": 0,  # a dashed outline would only fray the points
            "title": None,
        },
        "title": {
            "anchor": "start",
            "color": theme.ink,
            "fontSize": 16,
            "fontWeight": 600,
            "offset": 20,
        },
    }


def _axis(theme: Theme) -> dict[str, Any]:
    """Axes that are no more than a grid and its labels."""
    return {
        "domain": False,
        "gridColor": theme.line,
        "labelColor": theme.muted,
        "labelFontSize": 12,
        "labelPadding": 6,
        "ticks": False,
        "titleColor": theme.muted,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
