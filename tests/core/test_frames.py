"""What instruments hand over is checked where it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FrameError, UnitError
from corecube.frames import Array, Bits, Column, Factor, Fibers, Image, check_name
from corecube.spectral import Spectral

ZEROS = np.zeros((3, 4), "f4")


def image(**change: Any) -> Image:
    content: dict[str, Any] = {
        "name": "r", "flux": ZEROS, "unit": "adu", "error": ZEROS + 1, "mask": ZEROS.astype("u4"),
    }  # fmt: skip
    return Image(**{**content, **change})


def fibers(**change: Any) -> Fibers:
    content: dict[str, Any] = {
        "name": "coadd", "flux": ZEROS, "unit": "adu", "wave": Spectral.log_grid(1, 4),
        "id": ("a", "b", "c"), "ra": np.zeros(3), "dec": np.zeros(3),
    }  # fmt: skip
    return Fibers(**{**content, **change})


def test_good_ones_pass() -> None:
    assert image().wcs is None
    assert image(error=None, mask=None).error is None
    assert fibers().parent == ""
    assert fibers(flux=np.zeros((3, 0), "f4"), wave=Spectral.log_grid(1, 0)).flux.size == 0
    empty = fibers(flux=np.zeros((0, 4), "f4"), id=(), ra=np.zeros(0), dec=np.zeros(0))
    assert len(empty.id) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "is no name"),
        ({"name": "a/b"}, "is no name"),
        ({"flux": ZEROS.astype("i4")}, "flux must be native float32 or float64, not int32"),
        ({"flux": ZEROS.astype(">f4")}, "flux must be native"),
        ({"flux": ZEROS.astype("f2")}, "flux must be native"),
        ({"error": ZEROS[:2]}, "does not fit flux"),
        ({"error": ZEROS.astype("f8")}, "does not fit flux"),
        ({"mask": ZEROS.astype("u1")}, "is not uint32"),
        ({"mask": np.zeros((3, 5), "u4")}, "is not uint32"),
        ({"bits": {"b": Bits(np.zeros((2, 4), "u1"), ("a",))}}, "bits 'b'"),
        ({"bits": {"b/": Bits(np.zeros((3, 4), "u1"), ("a",))}}, "is no name"),
        ({"layers": {"": Array(ZEROS)}}, "is no name"),
        ({"calibration": {"x\n": Array(ZEROS)}}, "is no name"),
    ],
)
def test_refusals_of_all_frames(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        image(**change)


def test_an_unknown_unit() -> None:
    for make in (image, fibers):
        with pytest.raises(UnitError, match="'nanomagy' is no unit"):
            make(unit="nanomagy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flux": np.zeros(4, "f4"), "error": None, "mask": None}, "must be"),
        ({"footprint": np.zeros((2, 2))}, "footprint must be"),
        ({"footprint": np.zeros((4, 3))}, "footprint must be"),
        ({"footprint": np.zeros(8)}, "footprint must be"),
    ],
)
def test_refusals_of_images(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        image(**change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"flux": np.zeros(4, "f4")}, r"flux must be \(n, w\)"),
        ({"wave": Spectral.log_grid(1, 5)}, "5 wavelengths for 4 pixels"),
        ({"wave": Spectral(np.arange(8.0).reshape(2, 4))}, "for 3 fibres"),
        ({"id": ("a", "b")}, "need as many different ids"),
        ({"id": ("a", "b", "b")}, "need as many different ids"),
        ({"id": ("a", "b", "c/d")}, "is no name"),
        ({"ra": np.zeros(2)}, "ra must be float64"),
        ({"dec": np.zeros(3, "f4")}, "dec must be float64"),
        ({"target": ("x",)}, "1 values of target for 3 fibres"),
        ({"parent": "p"}, "parent and parent_id come together"),
        ({"parent_id": ("a", "b", "c")}, "parent and parent_id come together"),
        ({"parent": "p", "parent_id": ("a",)}, "1 values of parent_id"),
        ({"columns": {Column("z", "float32"): np.zeros(4)}}, "4 values in column 'z'"),
        ({"layers": {"sky": Array(np.zeros((4, 4)))}}, "layer 'sky'"),
    ],
)
def test_refusals_of_fibres(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        fibers(**change)


@pytest.mark.parametrize("values", [np.array(["a"]), np.array([None]), np.array([1j])])
def test_arrays_hold_numbers(values: Any) -> None:
    with pytest.raises(FrameError, match="must hold numbers"):
        Array(values)


def test_axes_are_as_many_as_the_array_has() -> None:
    assert Array(ZEROS, axes=("y", "x")).values is not None
    with pytest.raises(FrameError, match="do not name the 2 axes"):
        Array(ZEROS, axes=("y",))


@pytest.mark.parametrize(
    ("dtype", "planes", "said"),
    [
        ("i4", ("a",), "must be unsigned integers"), ("f4", ("a",), "must be unsigned integers"),
        ("u1", tuple("abcdefghi"), "9 planes do not fit into uint8"),
        ("u1", ("a", "", "a"), "two bits have the same name"),
    ],
)  # fmt: skip
def test_bits(dtype: str, planes: tuple[str, ...], said: str) -> None:
    with pytest.raises(FrameError, match=said):
        Bits(np.zeros(3, dtype), planes)
    assert Bits(np.zeros(3, "u1"), ("a", "", "", "b")).planes == ("a", "", "", "b")


@pytest.mark.parametrize("dtype", ["object", "complex64", "string", "S5", "datetime64[s]"])
def test_columns_are_numbers_or_text(dtype: str) -> None:
    with pytest.raises(FrameError, match="is neither number nor text"):
        Column("z", dtype)
    assert Column("z", "text").missing is None


@given(st.text(max_size=90))
def test_names_have_the_documented_letters(text: str) -> None:
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    good = (
        1 <= len(text) <= 80 and text[0] in letters and not text.endswith(".")
        and all(c in letters | set(" ._+-") for c in text)
    )  # fmt: skip
    try:
        assert check_name(text, "thing") == text
        assert good
    except FrameError:
        assert not good


def test_factors_replay() -> None:
    counts = np.array([10.0, 20.0])
    for operation, expected in (("add", [12, 22]), ("multiply", [20, 40]), ("divide", [5, 10])):
        factor = Factor("f", operation, np.array(2.0), "", "here")  # type: ignore[arg-type]
        assert factor.apply(counts).tolist() == expected
    assert counts.tolist() == [10, 20], "the counts stay as they are"
