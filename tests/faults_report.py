"""Faults of the report: see `tests/mutants.py`."""

from tests.faults import Mutant

FAULTS = (
    Mutant(
        "name_over_its_median",
        "src/pondera/report/race.py",
        "width - 8 * length",
        "width - 0 * length",
        "test_report_bound_charts.py::test_on_a_narrow_screen_a_name_leaves_room_for_strength_and_score",
    ),
    Mutant(
        "page_without_escapes",
        "src/pondera/report/standing_html.py",
        "autoescape=True",
        "autoescape=False",
        "test_bounds_report.py::test_names_are_not_read_as_markup",
    ),
    Mutant(
        "lanes_by_name",
        "src/pondera/report/standing.py",
        '"lane": place,\n            "name": row["name"],\n            "bound": '
        'row["bound"],\n            "zeros"',
        '"lane": 0,\n            "name": row["name"],\n            "bound": row["bound"],\n            "zeros"',
        "test_bounds_report.py::test_long_names_keep_their_own_lanes",
    ),
    Mutant(
        "asked_over_realised",
        "src/pondera/report/standing.py",
        "return None if measured is None or not asked else measured / asked",
        "return None if not measured or asked is None else asked / measured",
        "test_bounds_report.py::test_a_ratio_beyond_the_edge_is_drawn_at_it_and_said",
    ),
    Mutant(
        "ratio_off_the_panel",
        "src/pondera/report/standing.py",
        '"at": min(max(found, 0.0), REACH),',
        '"at": found,',
        "test_bounds_report.py::test_a_ratio_beyond_the_edge_is_drawn_at_it_and_said",
    ),
    Mutant(
        "colours_of_one_ground",
        "src/pondera/report/standing_html.py",
        "theme=PAGE",
        "theme=LIGHT",
        "test_bounds_report.py::test_the_page_is_one_file_that_fetches_nothing",
    ),
    Mutant(
        "old_page_lost",
        "src/pondera/report/standing_html.py",
        'draft = path.with_name(f".{path.name}.{os.getpid()}.part")',
        "draft = path",
        "test_bounds_report.py::test_a_page_that_cannot_be_written_leaves_the_old_one",
    ),
)
LONG = frozenset(
    {
        "lanes_by_name",
        "asked_over_realised",
        "ratio_off_the_panel",
        "old_page_lost",
    }
)
