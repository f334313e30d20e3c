from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import QueryError
from corecube.positions import (
    Position,
    format_position,
    format_radius,
    parse_position,
    parse_radius,
    read_positions,
)
from corecube.text import printable

# One star, written in many ways; the others agree with the degrees within their last digit.
RA, DEC = 38.301799, -0.133922
ROUNDING = 1e-13  # a few units in the last place of 360 degrees


@pytest.mark.parametrize(
    "text",
    [
        "38.301799 -0.133922",
        "  38.301799   -0.133922  ",
        "38.301799,-0.133922",
        "38.301799, -0.133922",
        "38.301799\t-0.133922",
        "38.301799 \u22120.133922",
        "38.301799 \u20130.133922",
        "+38.301799 -0.133922",
        "3.8301799e1 -1.33922E-1",
        "38.301799 -0.133922 icrs",
        "38.301799, -0.133922, ICRS",
        "38.301799d -0.133922d",
        "38.301799 deg, -0.133922 deg",
        "02:33:12.43176 -00:08:02.1192",
        "02:33:12.43176-00:08:02.1192",
        "02:33:12.43176, -00:08:02.1192",
        "02 33 12.43176 -00 08 02.1192",
        "2h33m12.43176s -0d08m02.1192s",
        "2H33M12.43176S -0D08M02.1192S",
        "2h 33m 12.43176s -0d 08m 02.1192s",
        "02h33:12.43176 -00d08:02.1192",
        "38d18m06.4764s -0d08m02.1192s",
        "38d 18 06.4764 -00 08 02.1192",
        "38\u00b018'06.4764\" -0\u00b008'02.1192\"",
        "38\u00b018\u203206.4764\u2033 \u22120\u00b008\u203202.1192\u2033",
        "38d18'06.4764'' -0d08'02.1192''",
        "38deg18arcmin06.4764arcsec -0deg08arcmin02.1192arcsec",
        "J023312.43176-000802.1192",
        "SDSS J023312.43176-000802.1192",
        "SDSSJ023312.43176-000802.1192",
        "[AB99] J023312.43176-000802.1192",
    ],
)
def test_all_forms_of_one_star(text: str) -> None:
    position = parse_position(text)
    assert position.ra == pytest.approx(RA, abs=ROUNDING)
    assert position.dec == pytest.approx(DEC, abs=ROUNDING)
    assert position.text == text


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        ("1e2 5", 100.0, 5.0),
        ("02:33 -00:08", 38.25, -8 / 60),
        ("02:33.5 -00:08", 38.375, -8 / 60),
        ("02 33 12 00 08 02", 38.3, 482 / 3600),
        ("2h33m12s 0d8m2s", 38.3, 482 / 3600),
        ("2.5h -0.13d", 37.5, -0.13),
        ("00:00:00 -90:00:00", 0.0, -90.0),
        ("J023312-000802", 38.3, -482 / 3600),
        ("359.9999999 90", 359.9999999, 90.0),
        (".5 -.5", 0.5, -0.5),
    ],
)
def test_other_positions(text: str, ra: float, dec: float) -> None:
    position = parse_position(text)
    assert (position.ra, position.dec) == pytest.approx((ra, dec), abs=ROUNDING)


def test_degrees_are_read_exactly() -> None:
    assert parse_position("38.301799 -0.133922") == Position(RA, DEC, "38.301799 -0.133922")


@pytest.mark.parametrize("text", ["10 -0", "10 -00:00:00", "10, -0.0"])
def test_a_negative_zero_keeps_its_sign(text: str) -> None:
    text = text if ":" not in text else "00:40:00 -00:00:00"
    assert math.copysign(1.0, parse_position(text).dec) == -1.0


def test_zero_degrees_minus_eight_minutes_is_south() -> None:
    assert parse_position("02:33:12 -00:08:02").dec < 0


# The reference values are those of the same star by SOFA, given to 1e-6 and 1e-7 degrees.
@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("169.291613 -53.585061 galactic", 1e-6),
        ("169d17m29.8068s -53d35m06.2196s galactic", 1e-6),
        ("38.3018053 -0.1339234 fk5", 1e-7),
        ("02:33:12.433272 -00:08:02.12424 FK5", 1e-7),
    ],
)
def test_other_frames(text: str, tolerance: float) -> None:
    position = parse_position(text)
    assert position.dec == pytest.approx(DEC, abs=tolerance)
    assert position.ra == pytest.approx(RA, abs=2 * tolerance)


def test_fk4_and_ecliptic_are_b1950_and_mean_of_j2000() -> None:
    # The pole of the ecliptic of J2000: right ascension 18 h, declination 90 - 23.4392911 degrees
    # (IAU 1976 obliquity); the frame bias and newer obliquity move it by less than 0.1 arcsec.
    pole = parse_position("0 90 ecliptic")
    assert (pole.ra, pole.dec) == pytest.approx((270.0, 66.5607089), abs=1e-4)
    # The pole of B1950, in J2000: Lieske et al. 1977, precession by 50 years.
    pole = parse_position("0 90 fk4")
    assert pole.dec == pytest.approx(89.7217, abs=1e-3)


REFUSED = {
    "": "empty",
    "   ": "empty",
    "38.3": "one number",
    "02:33:12": "one number",
    "361 0": "outside",
    "360 0": "outside",
    "-10 5": "negative",
    "-0 5": "negative",
    "-02:33:12 00:08:02": "negative",
    "10 90.1": "outside",
    "10 -91": "outside",
    "00:00:00 90:00:00.01": "outside",
    "1e400 0": "outside",
    "nan 0": "not a finite number",
    "0 inf": "not a finite number",
    "inf": "one number",
    "02:33:60 -00:08:02": "seconds 60",
    "02:60:00 -00:08:02": "minutes 60",
    "02:33:12 -00:08:60": "seconds 60",
    "J023360.0-000802": "seconds 60",
    "38:18:06.48 -00:08:02.1": "not below 24 hours; if it is degrees",
    "24:00:00 00:00:00": "not below 24",
    "25h 5d": "not below 24",
    "12 30 -5": "two fields",
    "02 33 -00 08": "two fields",
    "38.3 5 7": "comma",
    "1,2,3": "more than one comma",
    "02:33:12 -0.13": "write both alike",
    "38.3 -00:08:02": "write both alike",
    "38.3d -0.13": "write both alike",
    "10 5h": "write both alike",
    "10d 5h": "in hours",
    "38.3-0.13": "no space or comma",
    "023312.43-000802.1": "needs a J",
    "38.3 - 0.13": "a sign stands apart",
    "2h33'12\" 5d": "need minutes m",
    "2.5:30 5:00": "decimals",
    "2MASS J12290670+0203086": "implied decimal point",
    "J1229+0203": "two digits each",
    "J023312.-000802": "two digits each",
    "J253312.4+010203": "25 hours",
    "J023312.4+910203": "beyond",
    "B1950": "B1950",
    "QSO B0230-001": "B1950",
    "38.3 -0.13 B1950": "B1950",
    "38.3 -0.13 J2000": "J2000 is an equinox",
    "M31": "it is a name",
    "NGC 1234": "it is a name",
    "name:M31": "archive",
    "galactic": "no position",
    "02:33:12 -00:08:02 galactic": "would be hours",
    "J023312.4-000802 galactic": "cannot be galactic",
    "400 5 ecliptic": "the longitude",
    "38.3;5": "one number",
    "1_0 5": "not an angle",
    "\u0663 5": "not an angle",  # an Arabic digit
    "0x10 5": "not an angle",
    "1" * 300: "longer",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_ambiguous_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_position(text)
    message = str(caught.value)
    assert REFUSED[text] in message.partition("; accepted:")[0]
    assert "accepted: '38.3018 -0.1339' (degrees)" in message
    assert "\n" not in message


def test_a_message_drives_no_terminal() -> None:
    with pytest.raises(QueryError) as caught:
        parse_position("\x1b]52;c;aGk=\x07 5")
    assert r"'\x1b]52;c;aGk=\x07 5'" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_name_is_looked_up_only_where_the_caller_says() -> None:
    table = {"M 31": (10.6847, 41.269)}
    assert parse_position("name: M 31", lookup=table.get) == Position(10.6847, 41.269, "name: M 31")
    with pytest.raises(QueryError, match="no target of this name"):
        parse_position("name:M33", lookup=table.get)


@given(st.text(max_size=60))
def test_any_text_gives_a_position_or_a_query_error(text: str) -> None:
    try:
        position = parse_position(text)
    except QueryError as error:
        assert printable(str(error)) == str(error)
    else:
        assert 0 <= position.ra < 360
        assert abs(position.dec) <= 90


FIELDS = st.text(alphabet="0123456789:.+-hmsdJ '\"e,", max_size=40)


@given(FIELDS)
def test_any_likely_text_gives_a_position_or_a_query_error(text: str) -> None:
    test_any_text_gives_a_position_or_a_query_error.hypothesis.inner_test(text)  # type: ignore[attr-defined]


RIGHT = st.floats(0.0, 360.0, exclude_max=True)
SOUTH_TO_NORTH = st.floats(-90.0, 90.0)


def apart(a: float, b: float) -> float:
    """Return the distance of two right ascensions on the circle."""
    return abs((a - b + 180.0) % 360.0 - 180.0)


@given(RIGHT, SOUTH_TO_NORTH)
def test_degrees_read_back_exactly(ra: float, dec: float) -> None:
    position = parse_position(f"{ra!r} {dec!r}" if math.copysign(1, ra) > 0 else f"0 {dec!r}")
    assert (position.ra, position.dec) == (abs(ra), dec)
    assert math.copysign(1, position.dec) == math.copysign(1, dec)


@given(RIGHT, SOUTH_TO_NORTH, st.integers(0, 8))
def test_sexagesimal_reads_back_within_its_rounding(ra: float, dec: float, decimals: int) -> None:
    text = format_position(Position(ra, dec), "sexagesimal", decimals=decimals)
    position = parse_position(text)
    # half of the last digit: seconds of time with one decimal more, seconds of arc
    assert apart(position.ra, ra) <= 0.5 * 10.0 ** -(decimals + 1) / 240 + 1e-12
    assert abs(position.dec - dec) <= 0.5 * 10.0**-decimals / 3600 + 1e-12
    assert math.copysign(1, position.dec) == math.copysign(1, dec)


@given(RIGHT, SOUTH_TO_NORTH)
def test_degrees_for_people_read_back_within_their_rounding(ra: float, dec: float) -> None:
    position = parse_position(format_position(Position(ra, dec)))
    assert apart(position.ra, ra) <= 0.5e-6 + 1e-12
    assert abs(position.dec - dec) <= 0.5e-6 + 1e-12


@given(
    st.integers(0, 23), st.integers(0, 59), st.integers(0, 5999),
    st.sampled_from("+-"), st.integers(0, 89), st.integers(0, 59), st.integers(0, 599),
)  # fmt: skip
def test_a_name_gives_the_same_name(
    h: int, m: int, s: int, sign: str, d: int, arcmin: int, arcsec: int
) -> None:
    ra = f"{h:02}{m:02}{s // 100:02}.{s % 100:02}"
    name = f"J{ra}{sign}{d:02}{arcmin:02}{arcsec // 10:02}.{arcsec % 10}"
    assert format_position(parse_position(f"SDSS {name}"), "name") == name


def test_positions_are_echoed() -> None:
    star = parse_position("38.301799 -0.133922")
    assert format_position(star) == "38.301799 -0.133922"
    assert format_position(star, "sexagesimal") == "02:33:12.432 -00:08:02.12"
    assert format_position(star, "name") == "J023312.43-000802.1"
    assert format_position(Position(359.9999999, 0.0)) == "0.000000 0.000000"
    assert format_position(Position(359.99999999, -0.0), "sexagesimal") == (
        "00:00:00.000 -00:00:00.00"
    )
    with pytest.raises(ValueError, match="form must be"):
        format_position(star, "hours")


@pytest.mark.parametrize(
    ("text", "arcsec"),
    [
        ("2arcsec", 2.0),
        ("2 arcsec", 2.0),
        (" 2 ARCSEC ", 2.0),
        ('2"', 2.0),
        ("2''", 2.0),
        ("2\u2033", 2.0),
        ("0.5'", 30.0),
        ("0.5\u2032", 30.0),
        ("1.5arcmin", 90.0),
        ("1d", 3600.0),
        ("1deg", 3600.0),
        ("1\u00b0", 3600.0),
        ("1e-3 deg", 3.6),
        ("2mas", 0.002),
        ("0arcsec", 0.0),
        ("180deg", 648000.0),
    ],
)
def test_radii(text: str, arcsec: float) -> None:
    assert parse_radius(text) == pytest.approx(arcsec / 3600, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2", "has no unit: write 2arcsec"),
        ("0", "has no unit: write 0arcsec"),
        ("-1arcsec", "negative"),
        ("-0arcsec", "negative"),
        ("\u22121arcsec", "negative"),
        ("1h", "in time"),
        ("3s", "in time"),
        ("2parsec", "unknown unit"),
        ("181deg", "more than 180"),
        ("1e400deg", "more than 180"),
        ("nan arcsec", "write a number and a unit"),
        ("inf deg", "write a number and a unit"),
        ("arcsec", "write a number and a unit"),
        ("", "write a number and a unit"),
        ("2 3 arcsec", "unknown unit|write a number"),
    ],
)
def test_radii_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        parse_radius(text)


@pytest.mark.parametrize(
    ("degrees", "text"),
    [
        (2 / 3600, "2.000 arcsec"),
        (0.0, "0.000 arcsec"),
        (0.025, "1.5000 arcmin"),
        (1.0, "1.0000 deg"),
        (2e-3 / 3600, "2.000 mas"),
    ],
)
def test_radii_are_echoed(degrees: float, text: str) -> None:
    assert format_radius(degrees) == text


def test_plain_and_sexagesimal_positions_need_neither_astropy_nor_numpy() -> None:
    code = (
        "import sys\n"
        "from corecube.angles import parse_position\n"
        "for text in ('38.3 -0.13', '02:33:12 -00:08:02', 'J023312.4-000802', '2h3m4s 5d6m7s'):\n"
        "    parse_position(text)\n"
        "assert not {'astropy', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- files


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_other_columns_and_bad_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "targets.csv",
        "# from the observing log\n"
        "Name,RA,Dec,mag,id,n\n"
        "x,38.3,-0.13,1.5,007,1\n"
        '"y, z",02:33:12,-0:08:02,,008,2\n'
        "bad,361,0,3,009,3\n"
        "short,1\n"
        "# a comment\n"
        ",10,20,2,010,\n",
    )
    table = read_positions(path)
    assert (table.ra_column, table.dec_column, table.name_column) == ("RA", "Dec", "Name")
    np.testing.assert_allclose(table.ra, [38.3, 38.3, 10.0], rtol=1e-15)
    np.testing.assert_allclose(table.dec, [-0.13, -482 / 3600, 20.0], rtol=1e-15)
    assert table.row.tolist() == [1, 2, 5]
    assert table.line.tolist() == [3, 4, 8]
    assert table.names.tolist() == ["x", "y, z", ""]
    assert table.columns.names == ("Name", "mag", "id", "n")
    assert table.columns["id"].values.tolist() == ["007", "008", "010"]
    assert table.columns["mag"].dtype == np.float64
    assert table.columns["mag"].mask.tolist() == [False, True, False]
    assert table.columns["n"].dtype == np.int64
    assert table.columns["n"].mask.tolist() == [False, False, True]
    assert [str(problem) for problem in table.problems] == [
        f"{path}:5: no position in '361, 0': the right ascension '361' is outside [0, 360) degrees",
        f"{path}:6: 2 fields where the header has 6",
    ]
    assert [problem.row for problem in table.problems] == [3, 4]
    assert table.understood == f"3 positions from {path} (columns RA, Dec; ICRS), 2 rows skipped"
    with pytest.raises(QueryError, match=r"targets\.csv:5: no position"):
        read_positions(path, strict=True)


@pytest.mark.parametrize(
    ("ra", "dec"),
    [
        ("ra", "dec"),
        ("RA_ICRS", "DE_ICRS"),
        ("RAJ2000", "DEJ2000"),
        ("_RAJ2000", "_DEJ2000"),
        ("ALPHA_J2000", "DELTA_J2000"),
        ("raStack", "decStack"),
        ("ra [deg]", "Dec (deg)"),
        ("PLUG_RA", "PLUG_DEC"),
        ("Right Ascension", "Declination"),
    ],
)
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_columns_are_found_by_name(tmp_path: Path, ra: str, dec: str, mark: str) -> None:
    path = write(tmp_path, "a.txt", f"z{mark}{dec}{mark}{ra}\n7{mark}-5{mark}10.5\n")
    table = read_positions(path)
    assert (table.ra_column, table.dec_column) == (ra, dec)
    assert (table.ra.tolist(), table.dec.tolist()) == ([10.5], [-5.0])
    assert table.columns["z"].values.tolist() == [7]


def test_a_text_without_header_has_a_position_a_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.txt",
        "# two stars\n38.3 -0.13\n02 33 12 -00 08 02\nJ023312-000802\n361 0\n\n0 90 galactic\n",
    )
    table = read_positions(path)
    assert table.ra_column == ""
    np.testing.assert_allclose(table.ra[:3], 38.3, rtol=1e-15)
    # the north pole of the Galaxy in FK5: 192.85948, 27.12825 (Reid & Brunthaler 2004); ICRS
    # differs from FK5 by less than 0.1 arcsec
    np.testing.assert_allclose([table.ra[3], table.dec[3]], [192.85948, 27.12825], atol=3e-5)
    assert table.line.tolist() == [2, 3, 4, 7]
    assert [problem.place for problem in table.problems] == [f"{path}:5"]


def test_two_columns_with_commas_without_header(tmp_path: Path) -> None:
    table = read_positions(write(tmp_path, "a.csv", "38.3,-0.13\n10, 20\n"))
    assert (table.ra.tolist(), table.dec.tolist()) == ([38.3, 10.0], [-0.13, 20.0])


def test_a_header_in_a_comment(tmp_path: Path) -> None:
    table = read_positions(write(tmp_path, "a.txt", "# mag ra dec\n1 2 3\n4 5 6\n"))
    assert (table.ra.tolist(), table.dec.tolist()) == ([2.0, 5.0], [3.0, 6.0])
    assert table.columns["mag"].values.tolist() == [1, 4]


def test_a_byte_order_mark_and_typographic_minus(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("ra,dec\r\n10,\u22125\r\n".encode("utf-8-sig"))
    assert read_positions(path).dec.tolist() == [-5.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no positions in it"),
        ("# nothing\n", "no positions in it"),
        ("x,y\n1,2\n", "no columns ra and dec; the first line has: x, y"),
        ("1,38.3,-0.13\n", "3 columns and no header"),
        ("ra,RA,dec\n1,2,3\n", "not clear which column"),
        ("ra,dec,x,x\n1,2,3,4\n", "'x' is there twice"),
        ('ra,dec\n1,"2\n3,4\n', ":3: .*check the quotes"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        read_positions(write(tmp_path, "a.csv", text))


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="No such file"):
        read_positions(tmp_path / "none.csv")
    with pytest.raises(QueryError, match="Is a directory"):
        read_positions(tmp_path)
    (tmp_path / "a.csv").write_bytes("ra,dec\n1,2".encode("utf-16"))
    with pytest.raises(QueryError, match="convert it to UTF-8"):
        read_positions(tmp_path / "a.csv")
    (tmp_path / "a.fits").write_bytes(b"SIMPLE  =                    T")
    with pytest.raises(QueryError, match="cannot be read as fits"):
        read_positions(tmp_path / "a.fits")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"ra dec\n1 2\n400 2\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    table = read_positions("-")
    assert table.ra.tolist() == [1.0]
    assert table.problems[0].place == "<stdin>:3"


@pytest.mark.parametrize("format", ["ascii.ecsv", "votable", "fits", "gzip"])
def test_formats_of_astropy(tmp_path: Path, format: str) -> None:
    from astropy.table import MaskedColumn, Table

    table = Table(
        {
            "objid": [2**60 + 1, 2, 3, 4],
            "RAJ2000": np.array([10.5, 400.0, 2.0, np.nan]),
            "DEJ2000": np.array([-0.0, 1.0, 91.0, 3.0]),
            "k": MaskedColumn([1, 2, 3, 4], mask=[True, False, False, False]),
            "v": np.arange(8.0).reshape(4, 2),
        }
    )
    table["RAJ2000"].unit = "deg"
    table["v"].unit = "adu"
    path = tmp_path / "table"
    table.write(path, format="fits" if format == "gzip" else format)
    if format == "gzip":
        import gzip

        path.write_bytes(gzip.compress(path.read_bytes()))
    read = read_positions(path)
    assert read.ra.tolist() == [10.5]
    assert math.copysign(1.0, read.dec[0]) == -1.0
    assert read.row.tolist() == [1]
    assert read.names.tolist() == [str(2**60 + 1)]
    assert read.columns["k"].mask.tolist() == [True]
    assert read.columns["v"].unit == "adu"
    assert read.columns["v"].values.tolist() == [[0.0, 1.0]]
    places = [problem.place.rpartition(":")[2] for problem in read.problems]
    if format == "ascii.ecsv":
        lines = path.read_text().splitlines()
        first = next(i for i, line in enumerate(lines, 1) if not line.startswith("#")) + 1
        assert places == [str(first + i) for i in (1, 2, 3)]
    else:
        assert places == ["row 2", "row 3", "row 4"]
    assert [problem.reason.split()[1] for problem in read.problems] == [
        "right",
        "declination",
        "position",
    ]


def test_units_of_the_columns_are_obeyed(tmp_path: Path) -> None:
    from astropy import units as u
    from astropy.table import QTable

    table = QTable({"ra": [1.0, 2.0] * u.hourangle, "dec": [0.5, -0.5] * u.rad})
    table.write(tmp_path / "a.ecsv")
    read = read_positions(tmp_path / "a.ecsv")
    np.testing.assert_allclose(read.ra, [15.0, 30.0], rtol=1e-15)
    np.testing.assert_allclose(read.dec, np.degrees([0.5, -0.5]), rtol=1e-15)
    bad: Any = QTable({"ra": [1.0] * u.s, "dec": [0.5] * u.deg})
    bad.write(tmp_path / "b.ecsv")
    with pytest.raises(QueryError, match="no angle"):
        read_positions(tmp_path / "b.ecsv")
