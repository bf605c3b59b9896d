"""What a study found, and how bounds stand: tables for the terminal, pictures, HTML pages of one file.

A name is imported when it is first used: the terminal needs rich alone, the charts altair and
vl-convert, the page Jinja too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pondera.core.errors import missing

if TYPE_CHECKING:
    from pondera.report.bound_charts import bounds_chart as bounds_chart
    from pondera.report.bound_charts import strengths_chart as strengths_chart
    from pondera.report.bound_charts import zeros_chart as zeros_chart
    from pondera.report.charts import gradient_chart as gradient_chart
    from pondera.report.charts import losses_chart as losses_chart
    from pondera.report.charts import rates_chart as rates_chart
    from pondera.report.charts import signal_chart as signal_chart
    from pondera.report.charts import spread_chart as spread_chart
    from pondera.report.figures import save_charts as save_charts
    from pondera.report.page import write_page as write_page
    from pondera.report.race import race_chart as race_chart
    from pondera.report.standing_charts import standing_chart as standing_chart
    from pondera.report.standing_html import standing_page as standing_page
    from pondera.report.standing_html import write_standing as write_standing
    from pondera.report.standing_terminal import standing_table as standing_table
    from pondera.report.terminal import answer_panel as answer_panel
    from pondera.report.terminal import bounds_table as bounds_table
    from pondera.report.terminal import look_table as look_table
    from pondera.report.terminal import race_table as race_table

# The module of each public name, and the extra that brings what it needs.
_HOMES = {
    "answer_panel": ("terminal", "cli"),
    "bounds_chart": ("bound_charts", "study"),
    "bounds_table": ("terminal", "cli"),
    "gradient_chart": ("charts", "study"),
    "look_table": ("terminal", "cli"),
    "losses_chart": ("charts", "study"),
    "race_chart": ("race", "study"),
    "race_table": ("terminal", "cli"),
    "rates_chart": ("charts", "study"),
    "save_charts": ("figures", "study"),
    "signal_chart": ("charts", "study"),
    "spread_chart": ("charts", "study"),
    "standing_chart": ("standing_charts", "study"),
    "standing_page": ("standing_html", "study"),
    "standing_table": ("standing_terminal", "cli"),
    "strengths_chart": ("bound_charts", "study"),
    "write_page": ("page", "study"),
    "write_standing": ("standing_html", "study"),
    "zeros_chart": ("bound_charts", "study"),
}
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, extra = _HOMES[name]
    try:
        return getattr(import_module(f"{__name__}.{home}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("pondera"):
            raise
        raise missing("pondera.report", error.name or home, extra) from None


def __dir__() -> list[str]:
    return __all__
