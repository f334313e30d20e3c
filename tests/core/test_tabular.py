from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from corecube.errors import FrameError
from corecube.tabular import Field, Rows, concatenate


def example() -> Rows:
    return Rows(
        {
            "ra": Field(np.array([1.0, 2.0, 3.0]), "deg", "right ascension"),
            "flux": Field(np.array([1.1, np.nan, 3.0], np.float32), "nanomaggy"),
            "n": Field(np.array([1, 2, 3]), missing=np.array([False, True, False])),
            "name": Field(np.array(["a", "", "c"]), missing=np.array([False, False, True])),
        },
        {"command": "corecube query"},
    )


def test_rows_are_a_frozen_container() -> None:
    rows = example()
    assert len(rows) == 3
    assert rows.names == tuple(rows) == ("ra", "flux", "n", "name")
    assert "ra" in rows
    assert "dec" not in rows
    assert rows["ra"].unit == "deg"
    with pytest.raises(FrameError, match="no column 'dec'; the table has: ra, flux, n, name"):
        rows["dec"]
    with pytest.raises(ValueError, match="read-only"):
        rows["ra"].values[0] = 5.0
    with pytest.raises(TypeError):
        rows.fields["x"] = rows["ra"]  # type: ignore[index]
    with pytest.raises(TypeError):
        rows.meta["x"] = 1  # type: ignore[index]
    assert len(Rows({})) == 0


def test_the_array_of_the_caller_stays_writable() -> None:
    values, missing = np.arange(3.0), np.array([True, False, False])
    Field(values, missing=missing)
    values[0], missing[1] = 5.0, True
    assert values[0] == 5.0


def test_a_row_has_none_where_a_value_is_missing() -> None:
    row = example().row(1)
    assert row["n"] is None
    assert row["name"] == ""
    assert example().row(2)["name"] is None
    assert type(row["ra"]) is float
    assert type(example().row(0)["n"]) is int
    assert str(example().row(0)["flux"]) == "1.1"
    assert np.isnan(row["flux"])


@pytest.mark.parametrize("index", [slice(1, 3), np.array([1, 2]), np.array([False, True, True])])
def test_take(index: slice | np.ndarray) -> None:
    part = example().take(index)
    assert part["ra"].values.tolist() == [2.0, 3.0]
    assert part["n"].mask.tolist() == [True, False]
    assert (part["ra"].unit, part["ra"].description) == ("deg", "right ascension")
    assert part.meta == {"command": "corecube query"}
    assert example().take(slice(0, 1))["n"].missing is None


def test_select_keeps_the_order_given() -> None:
    assert example().select(["n", "ra"]).names == ("n", "ra")


def test_fields_are_made_native_text_and_masked() -> None:
    assert Field(np.array([1.0], dtype=">f4")).dtype == np.dtype("=f4")
    assert Field(np.array([b"a", "é".encode()])).values.tolist() == ["a", "é"]
    field = Field(np.array(["a", None], dtype=object))
    assert (field.values.tolist(), field.mask.tolist()) == (["a", ""], [False, True])
    field = Field(np.ma.MaskedArray([1, 2], mask=[True, False]))
    assert field.mask.tolist() == [True, False]
    assert field.masked().mask.tolist() == [True, False]
    assert Field(np.arange(2), missing=np.array([False, False])).missing is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array(1.0), "needs an axis"),
        (np.array([1j]), "complex128"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "datetime64"),
        (np.array([{}, []], dtype=object), "text or None only, not dict"),
    ],
)
def test_other_types_are_refused(values: np.ndarray, reason: str) -> None:
    with pytest.raises(FrameError, match=reason):
        Field(values)


def test_lengths_must_agree() -> None:
    with pytest.raises(FrameError, match="a 1, b 2"):
        Rows({"a": Field(np.arange(1)), "b": Field(np.arange(2))})
    with pytest.raises(FrameError, match="missing has the shape"):
        Field(np.arange(2), missing=np.array([True]))


def test_an_astropy_table() -> None:
    from astropy.table import Column, MaskedColumn, QTable

    table = example().table()
    assert table.colnames == ["ra", "flux", "n", "name"]
    assert type(table["ra"]) is Column
    assert type(table["n"]) is MaskedColumn
    assert table["n"].mask.tolist() == [False, True, False]
    assert str(table["ra"].unit) == "deg"
    assert table["ra"].description == "right ascension"
    assert table["flux"].dtype == np.float32
    assert table.meta == {"command": "corecube query"}
    table["ra"][0] = 9.0  # a copy
    assert example()["ra"].values[0] == 1.0
    assert isinstance(example().table(quantities=True), QTable)
    odd = Rows({"x": Field(np.arange(2.0), "furlong per fortnight squared")}).table()
    assert str(odd["x"].unit) == "furlong per fortnight squared"


def test_concatenate_marks_what_a_table_lacks() -> None:
    first = Rows(
        {"ra": Field(np.array([1.0]), "deg"), "z": Field(np.array([0.5], np.float32))},
        {"a": 1, "b": 2},
    )
    second = Rows(
        {
            "ra": Field(np.array([2.0, 3.0]), "deg", "right ascension"),
            "n": Field(np.array([7, 8]), missing=np.array([True, False])),
            "name": Field(np.array(["long name", "b"])),
            "good": Field(np.array([True, False])),
        },
        {"a": 1, "b": 3},
    )
    rows = concatenate([first, second])
    assert rows.names == ("ra", "z", "n", "name", "good")
    assert rows["ra"].values.tolist() == [1.0, 2.0, 3.0]
    assert rows["ra"].description == "right ascension"
    assert rows["z"].dtype == np.float32
    assert rows["z"].mask.tolist() == [False, True, True]
    assert np.isnan(rows["z"].values[1:]).all()
    assert rows["n"].mask.tolist() == [True, True, False]
    assert rows["n"].values[0] == np.iinfo(np.int64).min  # never zero
    assert rows["name"].values.tolist() == ["", "long name", "b"]
    assert rows["good"].mask.tolist() == [True, False, False]
    assert rows.meta == {"a": 1}
    assert concatenate([first, second], {"c": 3}).meta == {"c": 3}
    assert len(concatenate([])) == 0


def test_concatenate_widens_only_what_stays_exact() -> None:
    small = Rows({"x": Field(np.array([1, 2], np.int32))})
    assert concatenate([small, Rows({"x": Field(np.array([0.5]))})])["x"].dtype == np.float64
    large = Rows({"x": Field(np.array([2**53 + 1]))})
    with pytest.raises(FrameError, match="do not fit into float64 exactly"):
        concatenate([large, Rows({"x": Field(np.array([0.5]))})])
    with pytest.raises(FrameError, match="do not fit into float64 exactly"):
        concatenate([large, Rows({"x": Field(np.array([2**64 - 1], np.uint64))})])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (Field(np.array([1.0]), "arcsec"), "different units"),
        (Field(np.array(["a"]), "deg"), "different kinds"),
        (Field(np.array([True]), "deg"), "different kinds"),
        (Field(np.array([[1.0, 2.0]]), "deg"), "different shapes"),
    ],
)
def test_concatenate_refuses_what_does_not_fit(other: Field, reason: str) -> None:
    with pytest.raises(FrameError, match=f"'x' .*{reason}|{reason}"):
        concatenate([Rows({"x": Field(np.array([1.0]), "deg")}), Rows({"x": other})])


def test_cells_of_several_values() -> None:
    rows = Rows({"v": Field(np.arange(6.0).reshape(3, 2))})
    assert rows.row(1)["v"].tolist() == [2.0, 3.0]
    both = concatenate([rows, Rows({"n": Field(np.arange(1))})])
    assert both["v"].mask.tolist() == [[False, False]] * 3 + [[True, True]]
    assert both.row(3)["v"] is None


def test_the_module_needs_no_astropy() -> None:
    code = (
        "import sys, numpy as np\n"
        "from corecube.tabular import Field, Rows, concatenate\n"
        "rows = Rows({'a': Field(np.arange(3))})\n"
        "concatenate([rows, rows]).row(0)\n"
        "assert 'astropy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
