"""How bounds stand as a page: one HTML file without scripts, its picture drawn in both grounds' colours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pondera.report.figures import vega_lite_version
from pondera.report.standing import Standing, columns, heading, spoken, summary, table_rows
from pondera.report.standing_charts import standing_chart
from pondera.report.theme import DARK, FONT, LIGHT, PAGE, Theme, css_variables

_FOLDER = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def write_standing(standing: Standing, path: Path | str) -> Path:
    """Write the page to `path`; a page already there stays whole until the new one is.

    Args:
        standing: {"rows": a row per parameter, "steps": n}, as `BoundsReport.plain` gives it.
        path: of the HTML file; its folder must exist.

    Returns:
        The path.

    Raises:
        OSError: the folder cannot be written; what was at `path` is untouched.

    Checked by:
        test_bounds_report.py::test_a_page_that_cannot_be_written_leaves_the_old_one
    """
    path, text = Path(path), standing_page(standing)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")  # so that the exchange is one rename
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def standing_page(standing: Standing) -> str:
    """The page as text; it needs no network, no script and no other file."""
    rows = table_rows(standing)
    return _template().render(
        columns=columns(rows),
        heading=heading(standing),
        picture=_picture(standing) if rows else "",
        policy=_POLICY,
        rows=rows,
        said=summary(standing),
        spoken=spoken(standing),
        style=_style(),
    )


def _picture(standing: Standing) -> str:
    """The chart as SVG whose colours are the page's variables."""
    spec: dict[str, Any] = standing_chart(standing, theme=PAGE, standalone=False).to_dict()
    return vl_convert.vegalite_to_svg(spec, vl_version=vega_lite_version(), allowed_base_urls=[])


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("standing.html.jinja")


def _style() -> str:
    """The study page's style: light, dark where the reader's system is, and light again on paper."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {_root(DARK)} }}"
    sheet = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return "\n".join([_root(LIGHT), dark, f":root {{ --font: {FONT} }}", sheet])


def _root(theme: Theme) -> str:
    variables = "; ".join(f"{name}: {colour}" for name, colour in css_variables(theme).items())
    return f":root {{ {variables} }}"
