"""Tables, lines, CSV and records: one way to print."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnntool.cli import output
from cnntool.cli.output import BREAK, Column, csv_text, emit, json_text


@pytest.fixture
def shown(monkeypatch, capsys):
    """Print a table on a terminal of a width; return its lines without styles."""

    def show(width, columns, rows, **settings):
        monkeypatch.setenv("COLUMNS", str(width))
        emit(columns, rows, "table", **settings)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return show


NAMED = [Column("name", gives="cut"), Column("long", "long\nheading", right=True),
         Column("more", spare=1)]  # fmt: skip
ROWS = [("n" * 40, "123,456", "abcdef"), ("short", "1", "x")]


def test_a_narrow_terminal(shown):
    lines = shown(26, NAMED, ROWS, look="tight")
    assert max(map(len, lines)) <= 26
    assert lines[0].split() == ["long"]
    assert lines[1].split() == ["name", "heading"]
    assert lines[3].split() == ["n" * 16 + "…", "123,456"]
    assert lines[4] == "short" + " " * 20 + "1"
    assert "n" * 40 in "".join(shown(80, NAMED, ROWS, look="tight"))


@pytest.mark.parametrize("look", ["loose", "narrow", "tight"])
@pytest.mark.parametrize("width", [15, 27, 33, 60, 90])
def test_no_digit_is_cut(shown, look, width):
    """What has no room is set below, with the key beside it."""
    columns = [Column("layer"), *(Column(f"n{place}", right=True) for place in range(5))]
    rows = [
        ("conv1", *(f"{place}23,456,789" for place in range(5))),
        ("total", "", "1", "", "", ""),
    ]
    lines = shown(width, columns, rows, look=look)
    assert max(map(len, lines)) <= max(width, 23)  # what the key and a number take
    text = "\n".join(lines)
    for place in range(5):
        assert f"{place}23,456,789" in text
    assert "…" not in text
    assert (text.count("conv1") == 1) == (width == 90)
    assert text.count("conv1") == sum("n" in line and "layer" in line for line in lines)


def test_parts_are_set_apart_where_one_table_has_no_room(shown):
    columns = [Column("a", key=True), Column("b", right=True), Column("c", key=True),
               Column("d", right=True, part=1)]  # fmt: skip
    rows = [("x" * 8, "1", "y" * 8, "2" * 8)]
    assert [line.split() for line in shown(40, columns, rows) if "x" in line] == [[*rows[0]]]
    apart = [line.split() for line in shown(36, columns, rows) if "x" in line]
    assert apart == [["x" * 8, "1", "y" * 8], ["x" * 8, "y" * 8, "2" * 8]]


def test_cells(shown):
    columns = [Column("a"), Column("b", people=False), Column("c", gives="wrap")]
    lines = shown(60, columns, [("one\nline", "hidden", f"two{BREAK}lines")], totals=1)
    assert lines[1].split() == ["a", "c"]
    assert [line.split() for line in lines if "line" in line] == [[r"one\nline", "two"], ["lines"]]
    assert "hidden" not in "".join(lines)


def test_forms(capfdbinary):
    columns, rows = [Column("x"), Column("y", "Y")], [("a\tb\n", "1,5"), ("", "2")]
    emit(columns, rows, "tsv")
    emit(columns, rows, "csv")
    emit(columns, [{"x": math.nan}], "jsonl")
    assert capfdbinary.readouterr().out == (
        b'a b \t1,5\n\t2\nx,y\n"a\tb\n","1,5"\n,2\n{"x": null}\n'
    )
    emit(columns, [], "tsv")
    assert capfdbinary.readouterr().out == b""


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.full
@given(values)
def test_records_are_json_with_null_for_what_is_no_number(value):
    def refuse(text):
        raise AssertionError(text)

    found = json.loads(json_text(value), parse_constant=refuse)

    def same(ours, theirs):
        if isinstance(theirs, float) and not math.isfinite(theirs):
            return ours is None
        if isinstance(theirs, list):
            return len(ours) == len(theirs) and all(map(same, ours, theirs))
        if isinstance(theirs, dict):
            return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in theirs)
        return ours == theirs

    assert same(found, value)


def test_csv():
    assert csv_text([["a", 'b"', 1], ["c,d", "", 2]]) == 'a,"b""",1\n"c,d",,2'


@pytest.mark.parametrize(("terminal", "form"), [(True, "table"), (False, "tsv")])
def test_the_form(monkeypatch, terminal, form):
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: terminal, raising=False)
    assert output.form_of() == form
    assert output.form_of(as_json=True) == "jsonl"
    assert output.form_of(as_csv=True) == "csv"


@pytest.fixture
def people(monkeypatch, capfd):
    """Be a terminal of a width; return a function that tells what was printed."""

    def of(width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)

        def told():
            return re.sub(r"\x1b\[[0-9;]*m", "", capfd.readouterr().out).splitlines()

        return told

    return of


GROUPED = [Column("layer"), Column("max", right=True), Column("mean", right=True)]


def test_groups_have_one_header(people):
    told, table = people(60), output.Groups("tight")
    table.add("a.png", GROUPED, [("conv1", "12.5", "3"), ("conv2", "1", "4")])
    table.add("b.png", GROUPED, [("conv1", "2", "3"), ("conv2", "1", "4")])
    lines = told()
    assert lines[0].split() == ["layer", "max", "mean"]
    assert lines[2:] == [
        "a.png", "conv1  12.5     3", "conv2     1     4",
        "b.png", "conv1     2     3", "conv2     1     4",
    ]  # fmt: skip


def test_a_header_is_repeated_where_numbers_need_more_room(people):
    told, table = people(60), output.Groups("tight")
    table.add("a.png", GROUPED, [("conv1", "1", "3")])
    table.add("b.png", GROUPED, [("conv1", "1.23e-05", "3")])
    table.add("c.png", GROUPED, [("conv1", "2", "3")])
    table.add("d.png", [*GROUPED, Column("NaN")], [("conv1", "2", "3", "1")])
    lines = told()
    assert sum("layer" in line for line in lines) == 3
    assert lines[6:8] == ["b.png", "conv1  1.23e-05     3"]
    assert "conv1         2     3" in lines


def test_groups_on_a_terminal_too_narrow_for_a_row(people):
    told, table = people(13), output.Groups("tight")
    for name in ("a", "b"):
        table.add(name, GROUPED, [("conv1", "123456", "4")])
    lines = told()
    assert sum("layer" in line for line in lines) == 4
    assert max(map(len, lines)) <= 13
    assert (lines[0], lines.count("b")) == ("a", 1)


def test_prose_breaks_between_words_below_its_label(people):
    told = people(20)
    output.prose("sum    0.125, 0.250, 0.375\nshort\nfour words of one line\n" + "x" * 30)
    assert told() == ["sum    0.125, 0.250,", "       0.375", "short", "four words of one", "line",
                      "x" * 30]  # fmt: skip
    told = people(20)
    output.prose("a-long-label  four words of one line")  # there is no room beside it
    assert told() == ["a-long-label  four", "words of one line"]


def test_a_pipe_gets_prose_as_it_is(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    output.prose("four words of one long line")
    assert capfd.readouterr().out == "four words of one long line\n"


def test_numbers_stay_whole_where_words_are_cut_or_broken(shown):
    columns = [Column("name", gives="cut"), Column("n", right=True)]
    assert shown(24, columns, [("Network (2012) of much", "1,234,567")], look="tight")[-1] == (
        "Network (…     1,234,567"
    )
    rows = [("g", "frequency=0.125,angle=90,part=1"), ("h", "of 1,234,567 all")]
    lines = shown(24, [Column("k"), Column("values", gives="wrap")], rows, look="tight")
    assert [line.strip() for line in lines[2:]] == [
        "g  frequency=0.125,", "angle=90,part=1", "h  of 1,234,567 all"
    ]  # fmt: skip


@pytest.mark.parametrize("command", [
    ["filter", "-k", "0.1,1;2,3", "m.csv"], ["matrix", "-k", "0.1,1;2,3", "--input-size", "3"],
])  # fmt: skip
def test_matrices_are_lined_up_for_people_only(people, capfd, monkeypatch, tmp_path, command):
    from cnntool.cli.main import run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.csv").write_text("0.1,1,2\n3,4,5.55\n6,7,8\n")
    assert run([*command, "-o", "-"]) == 0
    exact = capfd.readouterr().out
    told = people(80)
    assert run([*command, "-o", "-"]) == 0
    lines = told()
    rows = [line.split(",") for line in exact.splitlines()]
    assert [len(line.split()) for line in lines] == [len(row) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert [*map(float, line.split())] == pytest.approx([*map(float, row)], rel=1e-5)
    assert not any("," in line for line in lines)
    assert max(len(number) for line in lines for number in line.split()) <= 8
    assert run([*command, "-o", "-", "--format", "csv"]) == 0
    assert "\n".join(told()) == exact.rstrip("\n")


def test_kernels_fit_into_the_window(people, monkeypatch):
    from cnntool.cli.main import run

    told = people(60)
    assert run(["kernels", "show", "gaussian:sigma=2"]) == 0
    lines = told()
    assert max(map(len, lines)) <= 60
    assert [line for line in lines if line.startswith("columns")] == [
        "columns 0 to 4:", "columns 5 to 9:", "columns 10 to 12:"
    ]  # fmt: skip
