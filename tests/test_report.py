"""The page of a study and the files of its pictures; `test_report_charts.py` has what they show."""

import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pondera import report
from pondera.core.errors import DomainError
from pondera.report import embed, figures, page, tables
from tests.study_results import HOSTILE, SHAPES, one, small

FETCHING = {"src", "href", "srcset", "action", "data", "poster", "background", "formaction"}
VOID = {"meta", "br", "img", "link", "input"}


class Read(HTMLParser):
    """What a browser makes of a page: elements, visible words, scripts and what they fetch."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.scripts, self.styles, self.fetched = [], [], [], [], []
        self.policy, self.inside = "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self.fetched += [text for name, text in attrs if name in FETCHING]
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes["content"]
        if tag == "script":
            self.scripts.append([attributes, ""])
        if tag not in VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, text):
        if "script" in self.inside:
            self.scripts[-1][1] += text
        elif "style" in self.inside:
            self.styles.append(text)
            self.fetched += re.findall(r"@import[^;]*|url\([^)]*\)", text)
        else:
            self.words.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def study(self):
        return next(json.loads(text) for attrs, text in self.scripts if attrs.get("id") == "study")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = report.write_page(small(), tmp_path_factory.mktemp("page") / "report.html")
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def read(written):
    return Read(written)


def test_the_page_fetches_nothing(read):
    assert read.fetched == []
    assert read.policy.startswith("default-src 'none'; ")


@pytest.mark.parametrize(
    "planted",
    [
        "<img src='https://example.org/x.png'>",
        "<link rel=stylesheet href=//example.org/x.css>",
        "<style>@import 'https://example.org/x.css';</style>",
        "<style>p { background: url(http://example.org/x.png) }</style>",
    ],
)
def test_the_search_for_fetches_finds_what_is_planted(planted):
    assert len(Read(planted).fetched) == 1


def test_the_policy_admits_the_pages_own_scripts_and_no_other(read):
    run = [text for attrs, text in read.scripts if "type" not in attrs]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run]
    assert re.findall(r"'sha256-([^']+)'", read.policy) == digests
    assert len(run) == 2
    assert "script-src 'sha256-" in read.policy
    assert "unsafe-eval" not in read.policy


def test_hostile_text_is_shown_and_never_read_as_markup(read):
    tags = [tag for tag, _ in read.elements]
    assert "b" not in tags
    assert "i" not in tags
    assert tags.count("script") == 3
    for shown in (HOSTILE, "<i>too large</i>", "<script>alert(1)</script>", "mirrored <b>now</b>."):
        assert shown in read.text


def test_no_script_can_be_left_early(read):
    for _, text in read.scripts:
        assert "</script" not in text.lower()
        assert "<!--" not in text


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_script_json_reads_back_and_holds_no_markup(content):
    text = embed.script_json(content)
    assert json.loads(text) == content
    assert not set(text) & set("<>&\u2028\u2029")


def test_script_json_refuses_what_json_cannot_hold():
    with pytest.raises(ValueError, match="not JSON compliant"):
        embed.script_json([float("nan")])


def test_the_embedded_charts_read_back_with_all_their_rows(read):
    charts = read.study
    assert set(charts["figures"]) == {figure.name for figure in figures.figures(small())}
    for drawn in charts["figures"].values():
        assert "$schema" not in drawn["spec"]
        assert set(drawn["rows"]) <= set(charts["rows"])
    assert [
        row["score"] for row in charts["rows"]["runs"]
    ] == "9.0% 10.0% 90.0% 93.0% 95.0%".split()
    assert len(charts["rows"]["layers"]) == 6


def test_every_picture_has_a_box_a_caption_and_words_for_who_cannot_see_it(read):
    boxes = {attrs["data-figure"]: attrs for _, attrs in read.elements if "data-figure" in attrs}
    assert set(boxes) == set(read.study["figures"])
    for figure in figures.figures(small()):
        assert boxes[figure.name]["role"] == "img"
        assert boxes[figure.name]["aria-label"] == figure.spoken(small())
        assert " ".join(figure.caption(small()).split()) in read.text


def test_every_name_the_script_looks_for_is_in_the_page(read):
    looked_for = set(re.findall(r"\[data-([a-z]+)\]", page._source("page.js")))
    present = {name.removeprefix("data-") for _, attrs in read.elements for name in attrs}
    assert looked_for
    assert looked_for <= present


@pytest.mark.parametrize("shape", SHAPES)
def test_a_page_names_every_start_and_stays_below_three_megabytes(shape):
    result = SHAPES[shape]()
    text = page.page(result)
    assert len(text.encode()) < 3_000_000
    shown = Read(text).text
    bounds = (result.get("bounds") or {"arms": {}})["arms"]
    for entry in [*result["race"].values(), *bounds.values()]:
        assert entry["title"] in shown


def test_without_a_winner_the_page_shows_no_gain():
    assert tables.contrast(one()) == []
    assert [item["number"] for item in tables.contrast(small())] == [
        "10.0%",
        "93.0%",
        "+83.0 points",
    ]


def test_write_page_replaces_an_older_page_and_leaves_no_draft(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    assert report.write_page(small(), path) == path
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(page.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write_page(small(), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_result_of_another_schema_is_refused():
    with pytest.raises(DomainError) as raised:
        page.page(small() | {"schema": 2})
    assert str(raised.value) == (
        "report: reads results of schema 1; got schema=2. "
        "Use the version of pondera that wrote the result."
    )


def test_save_charts_writes_a_png_and_an_svg_of_each_picture(tmp_path):
    paths = report.save_charts(small(), tmp_path / "new" / "charts")
    names = [figure.name for figure in figures.figures(small())]
    assert [path.name for path in paths] == [
        f"{name}.{kind}" for name in names for kind in ("svg", "png")
    ]
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        else:
            assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
