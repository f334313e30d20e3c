"""The FITS parser against astropy, on real files, on written ones, and on damage."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits as astrofits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits, Header, cards, data_size

REAL = (
    "sdss/2820-3-0122/frame-r-002820-3-0122.fits.bz2",
    "sdss/1000-1-0100/frame-r-001000-1-0100.fits.bz2",
    "sdss/1000-1-0100/fpM-001000-r1-0100.fit.gz",
    "sdss/1000-1-0100/psField-001000-1-0100.fit.gz",
    "sdss/1000-1-0100/photoObj-001000-1-0100.fits",
    "sdss/2583-2-0136/photoField-002583-2.fits.gz",
    "sdss/2583-2-0136/photoObj-002583-2-0136.fits",
    "sdss/spectra/spec-3126-54804-0211.fits",
    "sdss/spectra-full/spec-7338-57859-0739.fits",
)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126))


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".bz2":
        return bz2.decompress(data)
    return gzip.decompress(data) if path.suffix == ".gz" else data


def written(*hdus: Any) -> bytes:
    file = io.BytesIO()
    astrofits.HDUList(list(hdus)).writeto(file)
    return file.getvalue()


def same(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> bool:
    """Bit-equal values; text without trailing blanks."""
    theirs = np.asarray(theirs)
    if ours.dtype.kind == "U":
        return ours.shape == theirs.shape and bool(
            np.all(ours == np.char.rstrip(theirs.astype(str)))
        )
    return ours.dtype.isnative and np.array_equal(ours, theirs, equal_nan=ours.dtype.kind in "fc")


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_as_astropy_reads_them(data: Path, name: str) -> None:
    content = unpacked(data / name)
    ours = Fits(content, name)
    with astrofits.open(io.BytesIO(content), ignore_missing_simple=False) as theirs:
        assert len(ours) == len(theirs)
        for number, hdu in enumerate(theirs):
            header = ours.header(number)
            for keyword in hdu.header:
                if keyword in ("", "COMMENT", "HISTORY") or keyword in header.all(keyword):
                    continue
                value = hdu.header[keyword]
                if not isinstance(value, astrofits.card.Undefined):
                    assert header[keyword] == value, keyword
                    assert type(header[keyword]) is type(value), keyword
            assert ours.data_offset(number) == hdu._data_offset
            if isinstance(hdu, astrofits.BinTableHDU):
                table = ours.table(number)
                assert list(table.names) == hdu.columns.names
                for column in hdu.columns:
                    if column.format.startswith(("P", "1P", "Q", "1Q")):
                        rows = table.arrays(column.name)
                        assert all(map(same, rows, hdu.data[column.name]))
                    else:
                        assert same(table.column(column.name), hdu.data[column.name]), column
            elif hdu.data is not None:
                assert same(ours.image(number), hdu.data)
                assert ours.image(number).dtype == hdu.data.dtype.newbyteorder("=")


def test_a_head_gives_its_headers_and_where_the_data_begin(data: Path) -> None:
    content = unpacked(data / "sdss/2820-3-0122/frame-r-002820-3-0122.fits.bz2")
    head = Fits(content[: 64 * 1024], partial=True)
    assert head.header(0)["FILTER"] == "r"
    assert head.data_offset(0) == Fits(content).data_offset(0)
    assert head.data_offset(1) is None
    assert cards(content[: 64 * 1024])["RUN"] == 2820
    with pytest.raises(FileNotUnderstood, match="HDU 0 is cut"):
        Fits(content[: 64 * 1024]).header(1)


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_-]{0,6}X", fullmatch=True)
        | st.from_regex(r"HIERARCH [a-z]{2,8} [a-z0-9]{2,12}", fullmatch=True),
        st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.floats(allow_nan=False, allow_infinity=False)
        | ASCII.filter(lambda text: len(text) < 300),
        max_size=8,
    ),
    st.lists(ASCII.map(lambda text: text[:70].rstrip()), max_size=3),
)
def test_header_values_are_read_as_astropy_reads_them(
    values: dict[str, Any], history: list[str]
) -> None:
    header = astrofits.Header()
    for keyword, value in values.items():
        # astropy cannot break texts of HIERARCH cards over several cards in all cases
        header[keyword] = (
            value[:20] if keyword.startswith("HIER") and isinstance(value, str) else value
        )
    for line in history:
        header.add_history(line or "-")
    content = written(astrofits.PrimaryHDU(header=header))
    theirs = astrofits.Header.fromstring(content)
    ours = cards(content)
    for keyword in theirs:
        if keyword == "HISTORY":
            assert ours["HISTORY"] == "\n".join(theirs["HISTORY"])
        else:
            assert ours[keyword] == theirs[keyword]
            assert type(ours[keyword]) is type(theirs[keyword])
    assert len(ours.raw) % 80 == 0
    assert astrofits.Header.fromstring(ours.raw) == theirs


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("A       = 1.5D3", 1500.0),
        ("A       = -.5 / half", -0.5),
        ("A       =                   1.", 1.0),
        ("A       = +7", 7),
        ("A       =                    F / no", False),
        ("A       = 'it''s / here' / comment's", "it's / here"),
        ("A       = ''", ""),
        ("A       =", None),
        ("A       = / nothing", None),
        ("A       =(1.0, 2.0)", "(1.0, 2.0)"),
        ("A       ='no blank'", "no blank"),
    ],
)
def test_cards_that_people_write(card: str, value: Any) -> None:
    header = Header(card.ljust(80))
    assert header["A"] == value
    assert type(header["a"]) is type(value)


def test_long_texts_repeated_keywords_and_typed_access() -> None:
    lines = ["T       = 'one &'", "CONTINUE  '&'", "CONTINUE  'two  ' / c", "A = no", "B       = 1"]
    header = Header(
        "".join(line.ljust(80) for line in [*lines, "B       = 2", "COMMENT x", "N=  1"])
    )
    assert header["T"] == "one two"
    assert header["B"] == 1
    assert header.all("b") == [1, 2]
    assert header["COMMENT"] == "x"
    assert header.get("MISSING") is None
    assert "CONTINUE" not in header
    assert (
        header.integer("B") == 1 and header.number("B") == 1.0 and header.string("T") == "one two"
    )
    assert header.integer("MISSING", 4) == 4
    assert header.lines().splitlines()[3] == "A = no"
    for read in (header.integer, header.number):
        with pytest.raises(FileNotUnderstood, match="card T should be"):
            read("T")
    with pytest.raises(FileNotUnderstood, match="card MISSING is missing"):
        header.string("MISSING")


@pytest.mark.parametrize("text", ["1.2.3", "'open", "1e5x", "0x10"])
def test_a_value_that_cannot_be_read_costs_only_who_asks(text: str) -> None:
    header = Header(f"A       = {text}".ljust(80) + "B       = 1".ljust(80))
    assert header["B"] == 1
    with pytest.raises(FileNotUnderstood, match="card A"):
        header["A"]


DTYPES = ["?", "u1", "i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8", "c8", "S5", "S1"]


@settings(max_examples=60)
@given(st.data())
def test_tables_come_back_bit_equal(draw: st.DataObject) -> None:
    rows = draw.draw(st.integers(0, 4))
    wanted: dict[str, npt.NDArray[Any]] = {}
    for number in range(draw.draw(st.integers(1, 4))):
        dtype = draw.draw(st.sampled_from(DTYPES))
        shape = draw.draw(st.sampled_from([(), (2,), (3,), (2, 3)]))
        values = draw.draw(hnp.arrays(np.dtype(dtype), (rows, *shape)))
        if dtype.startswith("S"):
            letters = np.frombuffer(b"abcXYZ 019", "S1")
            picks = draw.draw(
                hnp.arrays(np.uint8, (*values.shape, int(dtype[1:])), elements=st.integers(0, 9))
            )
            values = np.ascontiguousarray(letters[picks]).view(dtype)[..., 0]
        wanted[f"Col_{number}"] = values
    hdu = astrofits.BinTableHDU(
        np.rec.fromarrays(
            list(wanted.values()), dtype=[(n, v.dtype, v.shape[1:]) for n, v in wanted.items()]
        )
    )
    table = Fits(written(astrofits.PrimaryHDU(), hdu)).table(1)
    assert table.rows == rows
    for name, values in wanted.items():
        ours = table.column(name.lower())
        if values.dtype.kind == "S":
            values = np.char.rstrip(values.astype(str))
        assert ours.shape == values.shape
        assert np.array_equal(ours, values, equal_nan=values.dtype.kind in "fc")
        if values.dtype.kind != "U":
            assert ours.dtype == values.dtype


@given(
    st.lists(hnp.arrays(np.int16, st.integers(0, 5)), min_size=1, max_size=5),
    st.sampled_from(["PI()", "QI()"]),
)
def test_variable_length_columns(rows: list[npt.NDArray[np.int16]], form: str) -> None:
    cells = np.empty(len(rows), dtype=object)
    cells[:] = rows
    hdu = astrofits.BinTableHDU.from_columns([astrofits.Column("v", form, array=cells)])
    table = Fits(written(astrofits.PrimaryHDU(), hdu)).table(1)
    ours = table.arrays("V")
    assert len(ours) == len(rows)
    assert all(map(np.array_equal, ours, rows))
    values, counts = table.ragged("v")
    assert np.array_equal(values, np.concatenate(rows))
    assert counts.tolist() == [len(row) for row in rows]
    with pytest.raises(FileNotUnderstood, match="variable length"):
        table.column("v")


def test_scaled_columns_and_bits() -> None:
    bits = np.arange(40).reshape(4, 10) % 3 == 0
    hdu = astrofits.BinTableHDU.from_columns(
        [
            astrofits.Column("s", "I", array=np.array([-1, 0, 99, -7], np.int16)),
            astrofits.Column("x", "10X", array=bits),
            astrofits.Column("b", "B", array=np.array([0, 127, 128, 255], np.uint8)),
            astrofits.Column("u", "J", unit="km/s", array=[1, 2, 3, 4]),
        ]
    )
    hdu.header["TSCAL1"], hdu.header["TZERO1"], hdu.header["TNULL1"] = 0.5, 1.0, 99
    hdu.header["TZERO3"] = -128  # the convention for signed bytes
    table = Fits(written(astrofits.PrimaryHDU(), hdu)).table(1)
    assert np.array_equal(table.column("s"), [0.5, 1.0, np.nan, -2.5], equal_nan=True)
    assert np.array_equal(table.column("x"), bits)
    assert table.column("b").dtype == np.int8
    assert table.column("b").tolist() == [-128, -1, 0, 127]
    assert table.units == {"s": "", "x": "", "b": "", "u": "km/s"}
    assert "U" in table and "z" not in table and len(table) == 4
    with pytest.raises(FileNotUnderstood, match="column z is missing"):
        table.column("z")


@given(
    hnp.arrays(
        st.sampled_from(
            [np.dtype(t) for t in ("u1", "i2", "i4", "i8", "f4", "f8", "u2", "u4", "u8")]
        ),
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=4),
    )
)
def test_images_come_back_bit_equal(values: npt.NDArray[Any]) -> None:
    content = written(astrofits.PrimaryHDU(values))
    ours = Fits(content).image(0)
    assert ours.dtype == values.dtype
    assert np.array_equal(ours, values, equal_nan=values.dtype.kind == "f")
    assert Fits(content).shape(0) == values.shape


def test_float32_stays_float32_and_raw_is_no_copy() -> None:
    hdu = astrofits.PrimaryHDU(np.arange(6, dtype=np.float32).reshape(2, 3))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 1.0, 0.0
    content = bytearray(written(hdu))
    ours = Fits(content)
    assert ours.image(0).dtype == np.float32
    raw = ours.raw_image(0)
    assert raw.dtype == np.dtype(">f4")
    content[ours[0].offset : ours[0].offset + 4] = np.array(9, ">f4").tobytes()
    assert raw[0, 0] == 9


def test_scaled_image_with_blank() -> None:
    hdu = astrofits.PrimaryHDU(np.array([[1, 2], [-999, 4]], np.int16))
    content = written(hdu)
    for card in ("BSCALE  = 0.5", "BZERO   = 10.0", "BLANK   = -999"):
        content = content.replace(b"END".ljust(80), card.ljust(80).encode() + b"END".ljust(80), 1)
    content = content[:2880] + content[2880 + 240 :]
    with astrofits.open(io.BytesIO(content)) as theirs:
        assert np.array_equal(Fits(content).image(0), theirs[0].data, equal_nan=True)
    assert Fits(content).image(0).dtype == np.float32


def table_file() -> bytes:
    cells = np.empty(5, dtype=object)
    cells[:] = [np.arange(n, dtype=np.uint8) for n in (3, 2, 0, 1, 1)]
    columns = [
        astrofits.Column("a", "J", array=np.arange(5)),
        astrofits.Column("v", "PB()", array=cells),
    ]
    return written(astrofits.PrimaryHDU(), astrofits.BinTableHDU.from_columns(columns))


def changed(content: bytes, keyword: str, value: object) -> bytes:
    start = content.index(keyword.ljust(8).encode() + b"=")
    return content[:start] + f"{keyword:8}= {value}".ljust(80).encode() + content[start + 80 :]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>", "not a FITS file: begins with '<!DOCTYPE html>"),
        (b"SIMPLE  =                    T".ljust(80), "no END card"),
        (b"SIMPLE  =                    T".ljust(80) * 4000, "no END card"),
        (table_file()[:5800], "HDU 1 is cut"),
        (table_file()[:3600], "no END card"),
        (changed(table_file(), "BITPIX", 7), "BITPIX 7"),
        (changed(table_file(), "NAXIS", -1), "NAXIS -1"),
        (changed(table_file(), "NAXIS", 10**9), "NAXIS 1000000000"),
        (changed(table_file(), "NAXIS2", -5), "negative length"),
        (changed(table_file(), "NAXIS2", 10**18), "HDU 1 is cut"),
        (changed(table_file(), "NAXIS1", 13), "do not fit rows|is cut"),
        (changed(table_file(), "NAXIS1", 3), "do not fit rows"),
        (changed(table_file(), "PCOUNT", -7), "PCOUNT or GCOUNT is negative"),
        (changed(table_file(), "PCOUNT", 2), "outside the heap"),
        (changed(table_file(), "TFIELDS", 100000), "TFIELDS 100000"),
        (changed(table_file(), "TFIELDS", 3), "TFORM3 is missing"),
        (changed(table_file(), "TFORM1", "'9W'"), "TFORM1 '9W' cannot be read"),
        (changed(table_file(), "TFORM2", "'PZ'"), "TFORM2 'PZ' cannot be read"),
        (changed(table_file(), "TFORM2", "'1K'"), "fixed length"),
        (changed(table_file(), "XTENSION", "'IMAGE   '"), "a binary table was expected"),
        (changed(table_file(), "XTENSION", "'TABLE   '"), "a binary table was expected"),
    ],
)
def test_damage_is_one_line(content: bytes, line: str) -> None:
    with pytest.raises(FileNotUnderstood, match=line) as caught:
        table = Fits(content, "x.fits").table(1)
        table.arrays("v")
    assert "x.fits" in str(caught.value) or "HDU" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heap_pointers_beyond_the_heap() -> None:
    content = bytearray(table_file())
    start = Fits(bytes(content))[1].offset
    for count, place in ((-1, 0), (2**31 - 1, 0), (3, 2**31 - 1), (3, -4), (8, 0)):
        content[start + 4 : start + 12] = np.array([count, place], ">i4").tobytes()
        with pytest.raises(FileNotUnderstood, match="outside the heap"):
            Fits(bytes(content)).table(1).ragged("v")


def test_missing_hdus_and_wrong_kinds() -> None:
    file = Fits(table_file() + b"rubbish", "x.fits")
    assert len(file) == 2
    assert file.index("nothing") is None
    with pytest.raises(FileNotUnderstood, match=r"x.fits: HDU 3 is missing, the file has 2"):
        file.header(3)
    with pytest.raises(FileNotUnderstood, match="HDU 0 holds no image"):
        file.image(0)
    with pytest.raises(FileNotUnderstood, match="holds a BINTABLE"):
        file.image(1)
    with pytest.raises(FileNotUnderstood, match="the primary array, a binary table"):
        file.table(0)


@given(st.binary(max_size=300), st.integers(0, 8000))
def test_flipped_bytes_never_raise_anything_else(noise: bytes, place: int) -> None:
    content = bytearray(table_file())
    content[place : place + len(noise)] = noise
    try:
        file = Fits(bytes(content))
        for number in range(len(file)):
            data_size(file.header(number))
        table = file.table(1)
        for name in table.names:
            if table.describe(name).descriptor:
                table.arrays(name)
            else:
                table.column(name)
    except FileNotUnderstood as error:
        assert "\n" not in str(error)
