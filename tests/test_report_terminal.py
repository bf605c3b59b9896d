"""A study in the terminal, and the public names of `pondera.report`."""

import re
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from pondera import report
from pondera.core.errors import MissingFramework
from tests.study_results import SHAPES, many, small


def printed(renderable, *, encoding="utf-8", width=80):
    class Terminal(StringIO):
        pass

    Terminal.encoding = encoding
    terminal = Terminal()
    Console(file=terminal, width=width, legacy_windows=False).print(renderable)
    return terminal.getvalue()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "table", [report.look_table, report.race_table, report.bounds_table, report.answer_panel]
)
def test_the_terminal_needs_eighty_columns_and_cuts_no_number(shape, table):
    text = printed(table(SHAPES[shape]()))
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"\d…", text)


def test_the_terminal_shows_the_first_and_the_last_of_many_layers():
    assert re.search(r"depth 1 .* 1000 ", printed(report.look_table(many())))


def test_the_terminal_reads_no_markup_in_names():
    result = small()
    result["race"]["default"]["title"] = "[red]x[/red]"
    assert "[red]x[/red]" in printed(report.race_table(result))
    assert "[red]x[/red]" in printed(report.look_table(result))


def test_the_terminal_says_what_diverged():
    text = " ".join(printed(report.race_table(small())).split())
    assert "1 of 3 diverged" in text
    assert "diverged: <i>too" in text


def test_an_ascii_terminal_gets_no_block_characters():
    assert "█" in printed(report.look_table(many()))
    assert "█" not in printed(report.look_table(many()), encoding="ascii")


def test_the_public_names_are_these():
    assert report.__all__ == [
        "answer_panel",
        "bounds_chart",
        "bounds_table",
        "gradient_chart",
        "look_table",
        "losses_chart",
        "race_chart",
        "race_table",
        "rates_chart",
        "save_charts",
        "signal_chart",
        "spread_chart",
        "standing_chart",
        "standing_page",
        "standing_table",
        "strengths_chart",
        "write_page",
        "write_standing",
        "zeros_chart",
    ]
    assert all(callable(getattr(report, name)) for name in report.__all__)


@pytest.mark.parametrize(
    ("name", "imported"),
    [("look_table", ["rich"]), ("signal_chart", ["altair", "jinja2"])],  # altair brings Jinja
)
def test_each_name_imports_only_what_it_needs(name, imported):
    code = (
        f"import sys; from pondera import report; report.{name}; "
        "print(*sorted({'rich', 'altair', 'jinja2', 'vl_convert', 'torch'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == imported


def test_a_missing_library_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    monkeypatch.delitem(sys.modules, "pondera.report.charts", raising=False)
    monkeypatch.delitem(sys.modules, "pondera.report.stage", raising=False)
    with pytest.raises(MissingFramework) as raised:
        report.signal_chart  # noqa: B018 - the look-up imports
    assert str(raised.value) == (
        "pondera.report needs altair, which is not installed. Run: pip install 'pondera[study]'"
    )
