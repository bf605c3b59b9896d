"""A study in the terminal: four rich renderables that fit 80 columns.

Names come from the user and are printed as they are: no console markup is read in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import log10

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from pondera.report.arms import Arm, arms_of
from pondera.report.axes import finite
from pondera.report.bound_tables import bound_standings, snippet
from pondera.report.rows import Result, layers_of, spaced
from pondera.report.scores import Score
from pondera.report.tables import interval_heading, remark
from pondera.report.wording import ABSENT, clipped, counted, short

_QUANTITIES = {
    "signal_spread": "spread: what tells two inputs apart",
    "signal_rms": "signal: RMS before the activation",
    "gradient_rms": "gradient: RMS at the layer's weights",
}
_MOST_DEPTHS = 4  # columns; the first and the last layer are always among them
_SPARK_WIDTH = 10
_BLOCKS = "▁▂▃▄▅▆▇█"
_NAME, _BOUND = 26, 20  # columns


class Spark:
    """Quantities as a row of block characters on a logarithmic scale; blank on an ASCII terminal.

    All rows of one table share `low` and `high`, so that they can be compared.
    """

    def __init__(self, quantities: Iterable[float | None], low: float, high: float) -> None:
        self.quantities, self.low, self.high = list(quantities), low, high

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text("" if options.ascii_only else self.blocks(), no_wrap=True)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(len(self.quantities), len(self.quantities))

    def blocks(self) -> str:
        """One character per quantity: a gap where it is not finite, the lowest for zero."""
        return "".join(map(self._block, self.quantities))

    def _block(self, quantity: float | None) -> str:
        if quantity is None:
            return " "
        if quantity <= 0 or self.high <= self.low:
            return _BLOCKS[0 if quantity <= 0 else -1]
        share = (log10(quantity) - log10(self.low)) / (log10(self.high) - log10(self.low))
        return _BLOCKS[min(len(_BLOCKS) - 1, int(share * len(_BLOCKS)))]


def look_table(result: Result) -> RenderableType:
    """What each start does to signal and gradient before training: first, last and some layers."""
    arms = [arm for arm in arms_of(result) if layers_of(result, arm.key)]
    if not arms:
        return Text("No start was looked at.")
    return Group(*[_quantity_table(result, arms, field) for field in _QUANTITIES])


def _quantity_table(result: Result, arms: list[Arm], field: str) -> Table:
    deepest = max((layers_of(result, arm.key) for arm in arms), key=len)
    columns = spaced(len(deepest), _MOST_DEPTHS)
    drawn = finite(layer[field] for arm in arms for layer in layers_of(result, arm.key))
    positive = [quantity for quantity in drawn if quantity > 0] or [1.0]
    table = _table(_QUANTITIES[field])
    table.add_column("start", max_width=_NAME, no_wrap=True)
    for place, index in enumerate(columns):
        depth = deepest[index]["depth"]
        table.add_column(
            f"depth {depth}" if place == 0 else str(depth), justify="right", no_wrap=True
        )
    if len(deepest) > 2:
        table.add_column("by depth", no_wrap=True)
    for arm in arms:
        along = [layer[field] for layer in layers_of(result, arm.key)]
        cells = [short(along[index]) if index < len(along) else ABSENT for index in columns]
        spark = [along[index] for index in spaced(len(along), _SPARK_WIDTH)]
        ends = [Spark(spark, min(positive), max(positive))] if len(deepest) > 2 else []
        table.add_row(_name(arm), *cells, *ends)
    return table


def race_table(result: Result) -> RenderableType:
    """The race: a row per start with its rate, median, interval and whatever went wrong."""
    raced = [(arm, result["race"][arm.key]) for arm in arms_of(result) if arm.key in result["race"]]
    if not raced:
        return Text("No start raced.")
    score, chance = Score.of(result), result["setting"]["chance"]["score"]
    table = _table(f"test {score.name}" + ("" if chance is None else f", chance {score(chance)}"))
    table.add_column("start", max_width=_NAME, no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column(
        interval_heading(result["race"].values()).lower(), justify="right", no_wrap=True
    )
    table.add_column("rate", justify="right", no_wrap=True)
    table.add_column("remark", overflow="fold")
    for arm, entry in raced:
        rate = ABSENT if entry["rate"] is None else f"{entry['rate']:g}"
        said = Text(remark(entry), style="yellow")
        interval = score.interval(entry, sure=False)
        table.add_row(_name(arm), score(entry["median"]), interval, rate, said)
    return table


def bounds_table(result: Result) -> RenderableType:
    """The bounds: a row each with its strength, median, interval, gap and exact zeros."""
    standings = bound_standings(result)
    if not standings:
        return Text("No bound was studied.")
    setting, score = result["bounds"]["setting"], Score.of(result)
    table = _table(f"test {score.name} from {counted(setting['rows'], 'training row')}")
    table.add_column("bound", max_width=_BOUND, no_wrap=True)
    interval = interval_heading(result["bounds"]["arms"].values()).lower()
    for name in ("λ", "median", interval, "gap", "zeros"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("remark", overflow="fold")
    for row in standings:
        table.add_row(
            _name(row["arm"], _BOUND),
            row["strength"],
            row["median"],
            row["interval"],
            row["gap"].removesuffix(" points"),
            row["zeros"],
            Text(row["remark"], style="yellow"),
        )
    return table


def answer_panel(result: Result) -> Panel:
    """The answer: the headlines, what was found, what is not claimed, and the code to paste."""
    halves = {"start": result["answer"]}
    if result.get("bounds"):
        halves["bound"] = result["bounds"]["answer"]
    parts: list[RenderableType] = []
    for answer in halves.values():
        parts += [Text()] * bool(parts) + [Text(answer["headline"], style="bold")]
    for field, heading, style in (("claims", "Found", ""), ("not_claimed", "Not claimed", "dim")):
        for half, answer in halves.items():
            told = f"{heading}: the {half}" if len(halves) > 1 else heading
            parts += _list(told, answer[field], style)
    if snippet(result):
        code = Syntax(
            snippet(result).rstrip(),
            "python",
            theme="ansi_dark",
            background_color="default",
            word_wrap=True,
        )
        parts += [Text(), Text("Use it", style="bold"), Padding(code, (0, 0, 0, 2))]
    return Panel(Group(*parts), title="answer", title_align="left", padding=(1, 2))


def _list(heading: str, sentences: list[str], style: str) -> list[RenderableType]:
    """A heading and its sentences, hanging behind their bullets; nothing if there are none."""
    if not sentences:
        return []
    bullets = Table.grid(padding=(0, 1))
    for sentence in sentences:
        bullets.add_row("•", Text(sentence, style=style))
    return [Text(), Text(heading, style="bold"), bullets]


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _name(arm: Arm, most: int = _NAME) -> Text:
    return Text(clipped(arm.label, most), style="bold green" if arm.winner else "")
