"""One HTML page that holds a whole study: it needs no network, no server and no other file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pondera.core.errors import DomainError
from pondera.report import bound_tables, tables
from pondera.report.arms import arms_of, bounds_of
from pondera.report.embed import content_policy, embedded_charts, script_json, vega_bundle
from pondera.report.figures import Figure, figures
from pondera.report.rows import Result
from pondera.report.theme import DARK, FONT, LIGHT, Theme, css_variables

SCHEMA = 1
_FOLDER = Path(__file__).parent
# The shapes of the charts' points, for the legend: about 9 pixels across, around the origin.
_OUTLINES = {
    "circle": "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z",
    "square": "M-3.6,-3.6h7.2v7.2h-7.2z",
    "triangle-up": "M0,-4.5L4.7,3.7H-4.7z",
    "diamond": "M0,-5.4L4.2,0L0,5.4L-4.2,0z",
    "triangle-down": "M0,4.5L4.7,-3.7H-4.7z",
    "cross": "M-1.6,-4.6h3.2v3h3v3.2h-3v3h-3.2v-3h-3v-3.2h3z",
    "triangle-left": "M-4.5,0L3.7,-4.7V4.7z",
}


def write_page(result: Result, path: Path | str) -> Path:
    """Write the page of `result` to `path`; a page already there stays whole until the new one is.

    Args:
        result: of `pondera study`, schema 1.
        path: of the HTML file; its folder must exist.

    Returns:
        The path.

    Raises:
        DomainError: the result is of another schema.
        OSError: the folder cannot be written; what was at `path` is untouched.

    Checked by:
        test_report.py::test_a_failed_write_leaves_the_old_page
    """
    path, text = Path(path), page(result)
    # In the same folder, so that the exchange is one rename within one file system.
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def page(result: Result) -> str:
    """The page as text.

    Raises:
        DomainError: the result is of another schema.
    """
    if result.get("schema") != SCHEMA:
        raise DomainError(
            f"report: reads results of schema {SCHEMA}; got schema={result.get('schema')!r}. "
            "Use the version of pondera that wrote the result."
        )
    scripts, shown = [vega_bundle(), _source("page.js")], figures(result)
    return _template().render(
        answer=result["answer"],
        bounds=_second_half(result),
        claims=_claims(result),
        charts=script_json(embedded_charts(result, shown)),
        contrast=tables.contrast(result),
        figures={figure.name: _told(figure, result) for figure in shown},
        groups={"starts": arms_of(result), "bounds": bounds_of(result)},
        interval=tables.interval_heading(result["race"].values()),
        looks=tables.looks(result),
        outlines=_OUTLINES,
        policy=content_policy(scripts),
        race=tables.standings(result),
        score=result["setting"]["score"],
        scripts=scripts,
        setting=tables.setting_list(result),
        snippet=bound_tables.snippet(result),
        style=_style(),
    )


def _template() -> Any:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja")


def _claims(result: Result) -> list[str]:
    """What was found of the starts, and which of them were not told apart."""
    claims, tied = result["answer"]["claims"], tables.tied(result)
    if not claims or not tied:
        return claims
    return [*claims, f"Not to be told from the winner by these runs: {', '.join(tied)}."]


def _second_half(result: Result) -> dict[str, Any] | None:
    """What is said of the bounds; none where they were not studied."""
    if not bounds_of(result):
        return None
    return {
        "answer": result["bounds"]["answer"],
        "contrast": bound_tables.bound_contrast(result),
        "course": bound_tables.course(result),
        "interval": tables.interval_heading(result["bounds"]["arms"].values()),
        "standings": bound_tables.bound_standings(result),
    }


def _told(figure: Figure, result: Result) -> dict[str, Any]:
    """A picture's words."""
    return {
        "name": figure.name,
        "group": figure.group,
        "title": figure.title,
        "caption": figure.caption(result),
        "notes": figure.notes(result),
        "spoken": figure.spoken(result),
    }


def _style() -> str:
    """The style sheet: light, dark where the reader's system is, and light again on paper."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {_root(DARK)} }}"
    return "\n".join([_root(LIGHT), dark, f":root {{ --font: {FONT} }}", _source("page.css")])


def _root(theme: Theme) -> str:
    """A rule that sets every colour of the page."""
    variables = "; ".join(f"{name}: {colour}" for name, colour in css_variables(theme).items())
    return f":root {{ {variables} }}"


def _source(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
