from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import QueryError
from corecube.positions import read_positions
from corecube.tabular import Field, Rows
from corecube_cli.formats import FORMATS, write_rows

FLUX_DENSITY = "1e-17 erg / (Angstrom s cm2)"
COMMAND = "corecube query a.corecube '38.3 -0.13' --radius 2arcsec --where \"z > 2\""


def example() -> Rows:
    """Give every trap of the formats at once."""
    return Rows(
        {
            "id": Field(np.array(["sdss", 'b,"oss', "", "#x"])),
            "ra": Field(np.array([38.301799, 359.99999999, 1e-9, np.nan]), "deg", "right asc."),
            "dec": Field(np.array([-0.133922, 90.0, -1e-9, 5.0]), "deg", "declination"),
            "flux": Field(
                np.array([1.1, np.nan, np.inf, 3.0], np.float32),
                "nanomaggy",
                missing=np.array([False, False, False, True]),
            ),
            "density": Field(np.array([1.1, 2.0, 3.0, 4.0], np.float32), FLUX_DENSITY),
            "objid": Field(
                np.array([2**62 + 1, 1, -(2**63), 3]), missing=np.array([False, True, False, False])
            ),
            "good": Field(
                np.array([True, False, True, False]),
                missing=np.array([False, False, False, True]),
            ),
            "name": Field(
                np.array(["\u03b1\x1b[31m", "", "\u65e5\u672c", "q"]),
                missing=np.array([False, False, False, True]),
            ),
            "byte": Field(np.array([1, 2, 3, 255], np.uint8)),
            "pair": Field(np.arange(8, dtype=np.float32).reshape(4, 2), "electron"),
        },
        {"rows": 4, "note": "\u00e9", "nested": {"a": [1]}},
    )


def written(rows: Rows, format: str, **more: Any) -> bytes:
    stream = io.BytesIO()
    write_rows(rows, format, stream, **more)
    return stream.getvalue()


# Golden bytes. In the table: 359.99999999 rounds to a full circle, ESC is visible, wide
# characters take two columns, a float32 has its shortest text.
TABLE = """\
id              ra         dec       flux                       density                 objid  \
good   name       byte  pair
               deg         deg  nanomaggy  1e-17 erg / (Angstrom s cm2)                        \
                        electron
sdss    38.3017990  -0.1339220        1.1                           1.1   4611686018427387905  \
True   \u03b1\\x1b[31m     1  [0.0, 1.0]
b,"oss   0.0000000  90.0000000        nan                           2.0                    --  \
False                2  [2.0, 3.0]
         0.0000000  -0.0000000        inf                           3.0  -9223372036854775808  \
True   \u65e5\u672c          3  [4.0, 5.0]
#x             nan   5.0000000         --                           4.0                     3  \
--     --          255  [6.0, 7.0]
"""
CSV = """\
id,ra,dec,flux,density,objid,good,name,byte,pair
sdss,38.301799,-0.133922,1.1,1.1,4611686018427387905,True,\u03b1\x1b[31m,1,"[0.0, 1.0]"
"b,""oss",359.99999999,90.0,nan,2.0,,False,"",2,"[2.0, 3.0]"
"",1e-09,-1e-09,inf,3.0,-9223372036854775808,True,\u65e5\u672c,3,"[4.0, 5.0]"
"#x",nan,5.0,,4.0,3,,,255,"[6.0, 7.0]"
"""
JSON = """\
[
{"id": "sdss", "ra": 38.301799, "dec": -0.133922, "flux": 1.1, "density": 1.1, \
"objid": 4611686018427387905, "good": true, "name": "\u03b1\\u001b[31m", "byte": 1, \
"pair": [0.0, 1.0]},
{"id": "b,\\"oss", "ra": 359.99999999, "dec": 90.0, "flux": null, "density": 2.0, \
"objid": null, "good": false, "name": "", "byte": 2, "pair": [2.0, 3.0]},
{"id": "", "ra": 1e-09, "dec": -1e-09, "flux": null, "density": 3.0, \
"objid": -9223372036854775808, "good": true, "name": "\u65e5\u672c", "byte": 3, \
"pair": [4.0, 5.0]},
{"id": "#x", "ra": null, "dec": 5.0, "flux": null, "density": 4.0, "objid": 3, "good": null, \
"name": null, "byte": 255, "pair": [6.0, 7.0]}
]
"""
SMALL = Rows(
    {
        "id": Field(np.array(["a", ""])),
        "ra": Field(np.array([38.301799, 0.1]), "deg", "right ascension"),
        "flux": Field(
            np.array([1.1, 0.0], np.float32), "nanomaggy", missing=np.array([False, True])
        ),
    },
    {"count": 2},
)
ECSV = """\
# %ECSV 1.0
# ---
# datatype:
# - {name: id, datatype: string}
# - {name: ra, unit: deg, datatype: float64, description: right ascension}
# - {name: flux, unit: nmgy, datatype: float32}
# meta: !!omap
# - {creator: corecube}
# - {command: corecube query}
# - {count: 2}
# - __serialized_columns__:
#     id:
#       __class__: astropy.table.column.MaskedColumn
#       data: !astropy.table.SerializedColumn {name: id}
# schema: astropy-2.0
id ra flux
a 38.301799 1.1
"" 0.1 ""
"""


@pytest.mark.parametrize(("format", "text"), [("table", TABLE), ("csv", CSV), ("json", JSON)])
def test_golden_bytes(format: str, text: str) -> None:
    assert written(example(), format).decode() == text


def test_golden_bytes_of_ecsv() -> None:
    assert written(SMALL, "ecsv", command="corecube query").decode() == ECSV


def test_a_table_without_units_has_no_line_for_them() -> None:
    rows = Rows({"n": Field(np.array([1, 20])), "name": Field(np.array(["a\nb", "[red]"]))})
    assert written(rows, "table").decode() == " n  name\n 1  a\\nb\n20  [red]\n"


@pytest.mark.parametrize("width", [1, 10, 60, 80])
def test_a_table_is_cut_to_the_terminal(width: int) -> None:
    from corecube_cli.formats import _columns_of

    full = written(example(), "table").decode().splitlines()
    cut = written(example(), "table", width=width).decode().splitlines()
    assert all(_columns_of(line) <= width for line in cut)
    for whole, line in zip(full, cut, strict=True):
        assert line == whole or (line.endswith("…") and whole.startswith(line[:-1]))


def test_csv_reads_back_with_the_standard_library() -> None:
    names, *rows = csv.reader(io.StringIO(written(example(), "csv").decode(), newline=""))
    assert names == list(example().names)
    assert [row[0] for row in rows] == ["sdss", 'b,"oss', "", "#x"]
    assert [float(row[1]) for row in rows[:3]] == [38.301799, 359.99999999, 1e-9]
    assert [row[5] for row in rows] == [str(2**62 + 1), "", str(-(2**63)), "3"]


def test_csv_is_read_by_astropy() -> None:
    from astropy.table import Table

    table = Table.read(written(example(), "csv").decode(), format="ascii.csv")
    assert table["id"].filled("").tolist() == ["sdss", 'b,"oss', "", "#x"]
    assert table["dec"].tolist() == example()["dec"].values.tolist()
    assert np.ma.getmaskarray(table["objid"]).tolist() == [False, True, False, False]


def test_csv_of_one_column_keeps_its_empty_rows() -> None:
    rows = Rows({"n": Field(np.array([1, 2, 3]), missing=np.array([False, True, False]))})
    assert written(rows, "csv") == b'n\n1\n""\n3\n'


def test_json_is_strict() -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    objects = json.loads(written(example(), "json"), parse_constant=refuse)
    assert len(objects) == 4
    assert objects[0]["objid"] == 2**62 + 1


def test_tables_larger_than_a_block() -> None:
    rows = Rows({"n": Field(np.arange(25_001)), "x": Field(np.arange(25_001) / 7)})
    assert len(json.loads(written(rows, "json"))) == 25_001
    lines = written(rows, "csv").decode().splitlines()
    assert len(lines) == 25_002
    assert lines[-1] == f"25000,{25_000 / 7!r}"


@given(st.lists(st.floats(width=32), max_size=5), st.lists(st.text(), min_size=5, max_size=5))
def test_json_and_csv_of_any_values(numbers: list[float], texts: list[str]) -> None:
    texts = [text.rstrip("\0") for text in texts[: len(numbers)]]  # numpy's text ends at NUL
    rows = Rows(
        {
            "x": Field(np.array(numbers, np.float32)),
            "t": Field(np.array(texts, dtype=np.str_)),
        }
    )
    found = json.loads(written(rows, "json"))
    assert [item["t"] for item in found] == texts
    for item, number in zip(found, numbers, strict=True):
        assert item["x"] is None or np.float32(item["x"]) == np.float32(number)
    _, *lines = csv.reader(io.StringIO(written(rows, "csv").decode(), newline=""))
    assert [line[1] for line in lines] == texts
    read = np.array([line[0] for line in lines], np.float32)
    np.testing.assert_array_equal(read, rows["x"].values)
    table = written(rows, "table").decode()
    assert len(table.splitlines()) == 1 + len(numbers)
    assert table.replace("\n", "").isprintable() or not all(text.isprintable() for text in texts)


def read_back(data: bytes, format: str) -> Any:
    from astropy.table import Table

    with warnings.catch_warnings():
        # nanomaggy and electron are in neither standard; readers keep them and say so
        warnings.simplefilter("ignore")
        if format == "ecsv":
            return Table.read(data.decode(), format="ascii.ecsv")
        return Table.read(io.BytesIO(data), format=format)


@pytest.mark.parametrize("format", ["ecsv", "votable", "fits"])
def test_numbers_units_and_masks_survive(format: str) -> None:
    from astropy.units import Unit

    rows = example()
    table = read_back(written(rows, format, command=COMMAND), format)
    assert tuple(table.colnames) == rows.names
    for name in rows:
        field = rows[name]
        if field.dtype.kind == "U" or (name == "good" and format == "fits"):
            continue
        column = table[name]
        there = ~field.mask
        # VOTable and FITS cannot tell NaN from missing
        lost = np.ma.getmaskarray(column)
        expected = field.mask | (np.isnan(field.values) if field.dtype.kind == "f" else False)
        assert (lost == (field.mask if format == "ecsv" else expected)).all(), name
        np.testing.assert_array_equal(
            np.ma.getdata(column)[there & ~lost], field.values[there & ~lost], err_msg=name
        )
        assert np.dtype(column.dtype).newbyteorder("=") == field.dtype
        if field.unit:
            assert Unit(str(column.unit)) == Unit(field.unit), name


def test_text_and_meta_in_ecsv() -> None:
    table = read_back(written(example(), "ecsv", command=COMMAND), "ecsv")
    # a row that begins with # is no comment, an empty text is not missing
    assert table["id"].tolist() == ["sdss", 'b,"oss', "", "#x"]
    assert not np.ma.getmaskarray(table["id"]).any()
    assert table["name"].tolist() == ["\u03b1\\x1b[31m", "", "\u65e5\u672c", None]
    assert table["ra"].description == "right asc."
    assert table.meta == {
        "creator": "corecube",
        "command": COMMAND,
        "rows": 4,
        "note": "\u00e9",
        "nested": {"a": [1]},
    }


def test_text_meta_and_ucds_in_votable() -> None:
    from astropy.io.votable import parse

    data = written(example(), "votable", command=COMMAND)
    table = read_back(data, "votable")
    assert table["id"].tolist() == ["sdss", 'b,"oss', "", "#x"]
    assert table["name"].tolist()[:3] == ["\u03b1\\x1b[31m", "", "\u65e5\u672c"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = parse(io.BytesIO(data)).get_first_table()
    ucds = {part.name: part.ucd for part in tree.fields if part.ucd}
    assert ucds == {"ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main"}
    infos = {info.name: info.value for info in tree.infos}
    assert infos == {
        "creator": "corecube",
        "command": COMMAND,
        "rows": "4",
        "note": "\u00e9",
        "nested": '{"a": [1]}',
    }
    assert b'unit="nmgy"' in data


def test_text_meta_and_units_in_fits() -> None:
    from astropy.io import fits

    data = written(example(), "fits", command=COMMAND + " \u03b1" + "x" * 200)
    with fits.open(io.BytesIO(data)) as file:
        file.verify("exception")
        header = file[1].header
        assert header["TTYPE4"] == "flux"
        assert header["TUNIT4"] == "nanomaggy"
        assert header["TUNIT5"] == "10**-17 erg Angstrom-1 s-1 cm-2"
        assert header["TUNIT10"] == "electron"
        assert header["TUCD2"] == "pos.eq.ra;meta.main"
        assert header["TCOMM2"] == "right asc."
        assert header["COMMAND"] == COMMAND + " \\u03b1" + "x" * 200
        assert json.loads(header["META"]) == dict(example().meta)
        assert file[1].data["name"].tolist() == ["\\u03b1\\x1b[31m", "", "\\u65e5\\u672c", ""]
        assert file[1].data["good"].tolist() == [1, 0, 1, 255]  # TNULL: FITS logicals lose it
        assert header["TNULL7"] == 255
        # -2**63 is a value of the column, so another number marks what is missing
        assert header["TNULL6"] == -(2**63) + 1


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
@pytest.mark.parametrize("format", ["ecsv", "votable", "fits"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_every_integer_type(dtype: str, format: str, masked: bool) -> None:
    if dtype == "bool":
        values = np.array([True, False, True])
    else:
        limits = np.iinfo(dtype)
        high = min(limits.max, 2**63 - 1) if format == "votable" or masked else limits.max
        values = np.array([limits.min, high, 1], dtype)
    missing = np.array([False, False, True]) if masked else None
    table = read_back(written(Rows({"n": Field(values, missing=missing)}), format), format)
    column = table["n"]
    assert np.ma.getmaskarray(column).tolist() == [False, False, masked]
    assert [int(value) for value in column[:2]] == [int(value) for value in values[:2]]


@pytest.mark.parametrize("format", ["votable", "fits"])
def test_integers_that_a_format_cannot_hold(format: str) -> None:
    field = Field(np.array([2**64 - 1, 0], np.uint64), missing=np.array([False, True]))
    with pytest.raises(QueryError, match="'n' holds integers beyond"):
        written(Rows({"n": field}), format)


def test_bytes_are_the_same_each_time() -> None:
    for format in FORMATS:
        assert written(example(), format) == written(example(), format)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("columns", [0, 3], ids=["nothing", "no row"])
def test_empty_tables(format: str, columns: int) -> None:
    rows = SMALL.take(slice(0, 0)).select(SMALL.names[:columns])
    data = written(rows, format)
    if format == "json":
        assert data == b"[]\n"
    if format in ("ecsv", "votable", "fits") and columns:
        assert read_back(data, format).colnames == ["id", "ra", "flux"]
        assert len(read_back(data, format)) == 0


@pytest.mark.parametrize("format", ["csv", "ecsv", "votable", "fits"])
def test_what_is_written_can_be_asked_with(format: str, tmp_path: Path) -> None:
    path = tmp_path / "result"
    write_rows(example().take(slice(0, 3)), format, path)
    table = read_positions(path, strict=True)
    assert table.ra.tolist() == [38.301799, 359.99999999, 1e-9]
    assert table.dec.tolist() == [-0.133922, 90.0, -1e-9]


def test_targets(tmp_path: Path) -> None:
    rows = Rows({"t": Field(np.array(["\u03b1", "\udc80"]))})
    write_rows(rows, "csv", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == "t\n\u03b1\n\\udc80\n".encode()
    text = io.StringIO()
    write_rows(rows, "json", text)
    assert json.loads(text.getvalue())[0] == {"t": "\u03b1"}
    # a stream that is not UTF-8: people get escapes, programs UTF-8
    for format, expected in (
        ("table", b"t\n\\u03b1\n\\udc80\n"),
        ("csv", b"t\n\xce\xb1\n\\udc80\n"),
    ):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        stream.write("")
        write_rows(rows, format, stream)
        assert raw.getvalue() == expected
    with pytest.raises(QueryError, match="text stream"):
        write_rows(rows, "fits", io.StringIO())
    with pytest.raises(QueryError, match="no format 'xls'; known are: table, csv"):
        write_rows(rows, "xls", io.BytesIO())


def test_fits_is_not_written_to_a_terminal() -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with pytest.raises(QueryError, match="fits is binary"):
        write_rows(SMALL, "fits", stream)
    assert not stream.getvalue()


def test_text_formats_need_no_astropy() -> None:
    code = (
        "import io, sys, numpy as np\n"
        "from corecube.tabular import Field, Rows\n"
        "from corecube_cli.formats import write_rows\n"
        "rows = Rows({'ra': Field(np.arange(3.0), 'deg')})\n"
        "for format in ('table', 'csv', 'json'):\n"
        "    write_rows(rows, format, io.BytesIO())\n"
        "assert not {'astropy', 'rich', 'typer'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
