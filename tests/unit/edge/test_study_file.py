"""Tables as requests of a study: separators, decimal commas, gaps, reasons, and what is refused where."""

from __future__ import annotations

import pytest

from edge_agent.study_file import request_of_csv, request_of_json
from records.errors import ConfigurationError


def data_of(text: str | bytes, chart: str = "imr", *columns: str) -> dict[str, object]:
    content = text if isinstance(text, bytes) else text.encode()
    request, _ = request_of_csv(content, "data.csv", chart, columns)
    assert request["chart"] == chart
    told = request["data"]
    assert isinstance(told, dict)
    return told


def refused(text: str | bytes, chart: str = "imr", *columns: str) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ConfigurationError) as caught:
        request_of_csv(content, "data.csv", chart, columns)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "content",
    [
        b"value\n1.5\n2\n",
        b"\xef\xbb\xbfvalue;x\r\n1,5;a\r\n2;b\r\n",
        b"x\tVALUE\na\t1.5\nb\t2.0\n",
        "value\n1.5\n2\n".encode("utf-16"),
        b'"x","value"\n"a, b","1.5"\n"c"," 2 "\n\n\n',
    ],
    ids=["plain", "semicolons, decimal comma, BOM, CRLF", "tabs", "UTF-16", "quotes and empty lines"],
)
def test_the_tables_of_spreadsheets_are_read(content: bytes) -> None:
    assert data_of(content) == {"values": [1.5, 2.0]}


def test_an_empty_cell_is_a_gap_and_so_is_an_empty_line_of_a_single_column() -> None:
    assert data_of("value\n1\n\n3\n\n") == {"values": [1.0, None, 3.0]}
    assert data_of("x,value\na,1\nb,\n\nc,3\n") == {"values": [1.0, None, 3.0]}


def test_rows_with_one_subgroup_make_one_point() -> None:
    table = "subgroup,value\nA,1\nA,2\nB,3\nB,4\nB,5\n"
    assert data_of(table, "xbar_s") == {"subgroups": [[1, 2], [3, 4, 5]]}
    assert data_of(table, "ewma") == {"subgroups": [[1, 2], [3, 4, 5]]}
    assert data_of("value\n1\n2\n", "ewma") == {"values": [1, 2]}


def test_a_row_may_be_a_subgroup() -> None:
    table = "hour,x1,x2,x3\n8,1,2,3\n9,4,,6\n"
    assert data_of(table, "xbar_r", "x1", "x2", "x3") == {"subgroups": [[1, 2, 3], [4, None, 6]]}
    assert data_of(table, "capability", "x3", "x1", "x2") == {"subgroups": [[3, 1, 2], [6, 4, None]]}


def test_each_chart_finds_its_columns() -> None:
    assert data_of("size,count\n50,3\n60,4\n", "p") == {"counts": [3, 4], "sizes": [50, 60]}
    assert data_of("count\n3\n4\n", "c") == {"counts": [3, 4]}
    assert data_of("time\n3\n4\n", "t") == {"values": [3, 4]}
    assert data_of("part,value\nA,1\nB,2\n", "short_run") == {"values": [1, 2], "parts": ["A", "B"]}
    assert data_of("width,height\n1,10\n2,20\n", "mewma") == {"rows": [[1, 10], [2, 20]]}
    table = "subgroup,w,h\n1,1,10\n1,2,20\n2,3,30\n2,4,40\n"
    assert data_of(table, "t2_subgroup") == {"vars": [[[1, 2], [3, 4]], [[10, 20], [30, 40]]]}


def test_columns_of_other_names_are_named_and_the_others_told() -> None:
    table = b"batch;operator;torque\n1;ann;1,5\n1;bob;1,7\n"
    request, unused = request_of_csv(table, "data.csv", "xbar_r", ("batch", "torque"))
    assert request["data"] == {"subgroups": [[1.5, 1.7]]}
    assert unused == ("operator",)
    assert data_of(table, "imr", "torque") == {"values": [1.5, 1.7]}


def test_a_column_says_why_a_point_is_left_out() -> None:
    request, unused = request_of_csv(b"value,exclude\n1,\n9,new material\n2,\n", "data.csv", "imr")
    assert request["params"] == {"exclude": {"2": "new material"}}
    assert unused == ()
    table = b"subgroup,value,exclude\n1,1,\n1,2,\n2,3,tool\n2,4,tool\n"
    request, _ = request_of_csv(table, "data.csv", "xbar_r")
    assert request["params"] == {"exclude": {"2": "tool"}}


def test_every_bad_cell_is_named_with_line_and_column() -> None:
    assert refused("id,value\na,1\nb,high\nc,1e999x\n") == [
        "data.csv:3:2: value: 'high' is no number (leave the cell of a gap empty)",
        "data.csv:4:2: value: '1e999x' is no number",
    ]


@pytest.mark.parametrize(
    ("table", "chart", "said"),
    [
        ("", "imr", "data.csv:1:1: head: the file is empty"),
        ("value\n", "imr", "data.csv:1:1: head: a head, but no rows under it"),
        ("1\n2\n", "imr", "data.csv:1:1: head: no names of columns (write value, or subgroup,value)"),
        ("vlaue\n1\n", "imr", "data.csv:1:1: value: no such column (did you mean vlaue?; --columns names"),
        (
            "a,b\n1,2\n",
            "imr",
            "data.csv:1:1: value: no such column (known: a, b; --columns names those to take)",
        ),
        ("value,Value\n1,2\n", "imr", "data.csv:1:2: value: stands twice in the head"),
        (
            "x,value\n1,1,5\n",
            "imr",
            "data.csv:2:1: row: 3 cells, but the head has 2 (a decimal comma needs ; or tab",
        ),
        ('x,value\n1,"1,5"\n', "imr", "data.csv:2:2: value: '1,5': a decimal comma needs ; or tab between"),
        (
            "x;value\n1;1,5\n2;1.5\n",
            "imr",
            "data.csv:3:2: value: '1.5': a decimal comma and a decimal point in one",
        ),
        ("x;value\n1;1.234,5\n", "imr", "data.csv:2:2: value: '1.234,5' is no number"),
        (
            "subgroup,value\nA,1\nB,2\nA,3\n",
            "xbar_r",
            "data.csv:4:1: subgroup: subgroup 'A' goes on after another",
        ),
        ("subgroup,value\n,1\n", "xbar_r", "data.csv:2:1: subgroup: a row without its subgroup"),
        ('value\n"1\n', "imr", "data.csv:2:1: row: no CSV: unexpected end of data"),
    ],
)
def test_what_is_no_table_for_the_chart_is_refused_with_its_place(table: str, chart: str, said: str) -> None:
    (line,) = refused(table, chart)
    assert line.startswith(said)


def test_other_encodings_and_charts_are_refused() -> None:
    assert refused(b"value\n1\n" + "µ\n".encode("latin-1")) == [
        "data.csv:3:1: text: not UTF-8 (save the file as UTF-8)"
    ]
    assert "not studied from CSV" in refused("value\n1\n", "rules")[0]
    assert "p takes 2 columns: count, size" in refused("a,b\n1,2\n", "p", "a")[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "r.json:1:1: request: no JSON: Expecting value"),
        (b'{"chart": "imr",\n "data": }', "r.json:2:10: request: no JSON: Expecting value"),
        (b"[1, 2]", "r.json:1:1: request: no request: an object is needed"),
        (b'{"chart": "imr", "chart": "p"}', "r.json:1:1: request: no JSON: 'chart' stands twice in one object"),
        (b'{"a": "\xff"}', "r.json:1:8: text: not UTF-8"),
        (b"[" * 200_000, "r.json:1:1: request: no JSON: "),
    ],
    ids=["empty", "cut", "list", "twice", "encoding", "deep"],
)
def test_what_is_no_request_is_refused_with_line_and_column(content: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        request_of_json(content, "r.json")
    assert str(caught.value).startswith(said)
