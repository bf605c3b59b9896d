"""What goes into a page's `<script>` elements: the library, the charts, and a policy that seals them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import vl_convert

from pondera.report.figures import Figure, vega_lite_version
from pondera.report.rows import Result
from pondera.report.theme import PAGE

# Inside a script element these end it, open a comment, or are no JavaScript before ES2019.
_UNSAFE = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and vega-embed as one script, made from what vl-convert carries."""
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version()
    )
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def script_json(content: Any) -> str:
    """JSON that no text of the user's can break out of.

    >>> script_json({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(str.maketrans(_UNSAFE))


def embedded_charts(result: Result, figures: Iterable[Figure]) -> dict[str, Any]:
    """The charts' specifications, and once for all of them the rows that they draw."""
    rows: dict[str, list[Any]] = {}
    specs: dict[str, Any] = {}
    for figure in figures:
        spec = figure.chart(result, theme=PAGE, standalone=False).to_dict()
        spec.pop("$schema")  # an address that nothing needs
        names = _lift_rows(spec, rows)
        specs[figure.name] = {"group": figure.group, "rows": sorted(names), "spec": spec}
    return {"rows": rows, "figures": specs}


def _lift_rows(spec: dict[str, Any], rows: dict[str, list[Any]]) -> set[str]:
    """Move the rows of `spec` and its layers into `rows`; the names under which they now lie."""
    names: set[str] = set()
    drawn: dict[str, Any] = spec.get("data") or {}
    if "name" in drawn:
        rows[drawn["name"]] = drawn.pop("values", rows.get(drawn["name"], []))
        names.add(drawn["name"])
    layers: list[dict[str, Any]] = spec.get("layer", [])
    return names.union(*(_lift_rows(layer, rows) for layer in layers))


def content_policy(scripts: Iterable[str]) -> str:
    """The Content-Security-Policy under which these scripts run, no others, and nothing is fetched."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"
