"""Two trees are compared by the figures of their runs, pair by pair."""

from __future__ import annotations

import comparison

LINE = '{"python": "3.11.7", "cpus": 2, "benchmark": "b", "symbols": 20, "complete": true, "us": %s, "of": {"10": {"us": %s}}}'


def test_a_figure_is_named_by_its_fields_and_the_texts_of_its_line() -> None:
    """Lines that differ in a text have different figures, a name that comes again is counted, and logs are no figures."""
    output = [
        "12:00 [info] started",
        '{"step": "read", "us": 1.5}',
        '{"step": "write", "us": 2}',
        '{"step": "read", "us": 3}',
        LINE % (4, 5),
    ]

    assert comparison.figures(output) == {"read us": 1.5, "write us": 2, "read us (2)": 3, "symbols": 20, "us": 4, "of.10.us": 5}


def test_a_ratio_is_that_of_each_pair() -> None:
    """The middle of the pairs' ratios is shown, not the ratio of the middles: a slow while hits both runs of a pair."""
    ours = [{"us": 1.0}, {"us": 10.0}, {"us": 3.0}]
    theirs = [{"us": 2.0}, {"us": 40.0}, {"us": 4.0}]

    (row,) = comparison.compared(ours, theirs)

    assert row == comparison.Compared("us", ours=3.0, theirs=4.0, ratio=0.5, least=0.25, most=0.75)


def test_what_never_changes_is_a_parameter() -> None:
    """A number that is the same in every run of both trees is left out; one that differs between the trees alone is a figure."""
    rows = comparison.compared([{"symbols": 20, "bytes": 8, "us": 1}], [{"symbols": 20, "bytes": 16, "us": 2}])

    assert [row.name for row in rows] == ["bytes", "us"]


def test_what_the_other_tree_lacks_is_not_compared() -> None:
    """A number that none of its runs has is named as missing, and one that is 0 has no ratio."""
    ours, theirs = [{"us": 1.0, "new": 2.0, "lost": 1.0}], [{"us": 2.0, "lost": 0.0}]

    assert [row.name for row in comparison.compared(ours, theirs)] == ["us"]
    assert comparison.missing(ours, theirs) == ["new"]


def test_one_pair_is_said_to_show_no_spread() -> None:
    """Its least and greatest ratio are the same, which looks exact."""
    assert "no spread" in comparison.meaning(1)
    assert "no spread" not in comparison.meaning(2)


def test_a_table_has_a_row_for_each_figure() -> None:
    """Columns are as wide as what is in them."""
    rows = [
        comparison.Compared("frames_per_s", 234_000.4, 1_000.0, 234.0, 0.5, 300.25),
        comparison.Compared("us", 1.23456, 2, 0.6, 0.5, 0.7),
    ]

    assert comparison.table(rows) == [
        "                 ours  theirs    ratio    min      max",
        "frames_per_s  234,000   1,000  234.000  0.500  300.250",
        "us              1.235       2    0.600  0.500    0.700",
    ]
