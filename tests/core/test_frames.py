"""What a frame refuses: names, shapes, types, units that do not fit together."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import CorecubeError, FrameError, UnitError
from corecube.frames import Array, Bits, Column, Factor, Fibers, Frame, Image, check_name
from corecube.provenance import Provenance
from corecube.spectral import Spectral
from corecube.times import Times

GOOD_NAMES = ("r", "0", "b1-00158842", "a b", "frame.r_1+2", "x" * 80)
BAD_NAMES = (
    "", " ", " r", ".r", "_r", "-r", "+r", "a/b", "a\\b", "a\n", "a\0", "a\tb", "é", "٣",
    "a:b", "../x", "x" * 81,
)  # fmt: skip


def zeros(*shape: int, dtype: str = "float32") -> Any:
    return np.zeros(shape, dtype)


def image(**changed: Any) -> Image:
    return Image(**{"name": "r", "flux": zeros(4, 5), "unit": "nanomaggy"} | changed)


def fibers(count: int = 3, width: int = 6, **changed: Any) -> Fibers:
    given: dict[str, Any] = {
        "name": "coadd", "flux": zeros(count, width), "unit": "adu",
        "wave": Spectral.log_grid(35000, width), "id": tuple(f"{n:04d}" for n in range(count)),
        "ra": zeros(count, dtype="float64"), "dec": zeros(count, dtype="float64"),
    }  # fmt: skip
    return Fibers(**given | changed)


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_a_good_name_comes_back(name: str) -> None:
    assert check_name(name, "frame") == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_and_shown(name: str) -> None:
    with pytest.raises(FrameError, match="is no name") as caught:
        check_name(name, "group")
    assert str(caught.value).startswith(f"group '{name}'")


@given(st.text(st.characters(), max_size=90))
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    try:
        check_name(name, "frame")
    except FrameError:
        return
    assert 1 <= len(name) <= 80
    assert name.isascii() and name.isprintable()
    assert name[0].isalnum() and not set(name) & set("/\\:*?\"'<>|")


@pytest.mark.parametrize(
    "make",
    [
        lambda name: image(name=name),
        lambda name: fibers(name=name),
        lambda name: image(bits={name: Bits(zeros(4, 5, dtype="uint8"), ())}),
        lambda name: image(layers={name: Array(zeros(4, 5))}),
        lambda name: image(calibration={name: Array(zeros(3))}),
        lambda name: fibers(count=1, id=(name,)),
        lambda name: Column(name, "float32"),
    ],
    ids=["image", "group", "bits", "layer", "calibration", "fibre", "column"],
)
@pytest.mark.parametrize("name", ["", "a/b", "..", "é"])
def test_every_name_is_checked(make: Any, name: str) -> None:
    make("good")
    with pytest.raises(FrameError, match="is no name"):
        make(name)


# -- arrays, bits, columns -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint64", "bool"])
def test_an_array_holds_numbers(dtype: str) -> None:
    assert Array(zeros(2, 3, dtype=dtype), "adu", ("fiber", "depth")).values.dtype == dtype


@pytest.mark.parametrize("values", [["a"], [b"a"], [None], [1j], np.zeros(2, "M8[s]")])
def test_an_array_refuses_what_is_no_number(values: Any) -> None:
    with pytest.raises(FrameError, match="must hold numbers"):
        Array(np.asarray(values))


def test_an_array_refuses_axes_that_do_not_fit() -> None:
    with pytest.raises(FrameError, match="do not name the 2 axes"):
        Array(zeros(2, 3), "", ("wave",))


def test_units_are_checked_everywhere() -> None:
    for make in (
        lambda: Array(zeros(2), "nonsense"), lambda: image(unit="nonsense"),
        lambda: fibers(unit="nonsense"), lambda: Column("z", "float32", "nonsense"),
        lambda: Spectral(zeros(0, dtype="float64"), unit="nonsense"),
    ):  # fmt: skip
        with pytest.raises(UnitError, match="'nonsense' is no unit"):
            make()


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">u8", "<f4"])
def test_arrays_as_files_have_them_get_the_byte_order_of_this_machine(dtype: str) -> None:
    values = np.array([[1, 2, 258]], dtype)
    array = Array(values)
    assert array.values.dtype.isnative
    np.testing.assert_array_equal(array.values, [[1, 2, 258]])


def test_a_native_array_is_shared_and_not_copied() -> None:
    values = zeros(3, 4)
    assert np.shares_memory(Array(values).values, values)
    bits = zeros(3, 4, dtype="uint16")
    assert np.shares_memory(Bits(bits, ()).values, bits)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", ">u4"])
def test_bits_are_unsigned_and_keep_their_values(dtype: str) -> None:
    values = np.array([0, 1, 255], dtype)
    bits = Bits(values, ("a", "", "", "b"))
    assert bits.values.dtype.isnative and bits.values.dtype.itemsize == values.dtype.itemsize
    np.testing.assert_array_equal(bits.values, [0, 1, 255])


@pytest.mark.parametrize("dtype", ["int32", "float32", "bool"])
def test_bits_refuse_other_types(dtype: str) -> None:
    with pytest.raises(FrameError, match="must be unsigned integers"):
        Bits(zeros(2, dtype=dtype), ())


def test_bits_refuse_more_planes_than_they_have() -> None:
    Bits(zeros(2, dtype="uint8"), tuple("abcdefgh"))
    with pytest.raises(FrameError, match="9 planes do not fit into uint8"):
        Bits(zeros(2, dtype="uint8"), tuple("abcdefghi"))


def test_bits_refuse_one_name_for_two_bits() -> None:
    Bits(zeros(2, dtype="uint8"), ("a", "", "", "b"))
    with pytest.raises(FrameError, match="same name"):
        Bits(zeros(2, dtype="uint8"), ("a", "b", "a"))


@pytest.mark.parametrize("dtype", ["text", "float32", "int64", "uint8", "bool"])
def test_a_column_is_of_numbers_or_of_text(dtype: str) -> None:
    assert Column("z", dtype).dtype == dtype


@pytest.mark.parametrize("dtype", ["str", "S8", "U3", "object", "complex64", "nonsense", "text "])
def test_a_column_refuses_other_types(dtype: str) -> None:
    with pytest.raises(FrameError, match=f"'{dtype}' is neither number nor text"):
        Column("z", dtype)


# -- what images and fibres share ----------------------------------------------------------------


@pytest.mark.parametrize("make", [image, fibers])
@pytest.mark.parametrize("dtype", [">f4", ">f8", "float16", "int32", "uint16", "complex64"])
def test_flux_is_native_float(make: Any, dtype: str) -> None:
    shape = make().flux.shape
    for good in ("float32", "float64"):
        assert make(flux=zeros(*shape, dtype=good)).flux.dtype == good
    with pytest.raises(FrameError, match="flux must be native float32 or float64"):
        make(flux=zeros(*shape, dtype=dtype))


@pytest.mark.parametrize(
    "error",
    [zeros(4, 5, dtype="float64"), zeros(5, 4), zeros(4), zeros(4, 5, dtype=">f4")],
    ids=["type", "shape", "axes", "byte order"],
)
def test_the_error_is_like_the_flux(error: npt.NDArray[Any]) -> None:
    assert image(error=zeros(4, 5)).error is not None
    with pytest.raises(FrameError, match=r"frame 'r': error .* does not fit flux"):
        image(error=error)


@pytest.mark.parametrize(
    "mask",
    [zeros(4, 5, dtype=t) for t in ("int32", "uint8", "uint64", "bool", ">u4")]
    + [zeros(5, 4, dtype="uint32")],
)
def test_the_mask_is_uint32_like_the_flux(mask: npt.NDArray[Any]) -> None:
    assert image(mask=zeros(4, 5, dtype="uint32")).mask is not None
    with pytest.raises(FrameError, match=r"frame 'r': mask .* is not uint32"):
        image(mask=mask)


def test_bits_have_the_shape_of_the_flux() -> None:
    with pytest.raises(FrameError, match=r"bits 'fpM' \(5, 4\) are not \(4, 5\)"):
        image(bits={"fpM": Bits(zeros(5, 4, dtype="uint8"), ())})


@pytest.mark.parametrize("make", [image, fibers])
def test_times_are_one_or_one_per_row(make: Any) -> None:
    rows = make().flux.shape[0]
    times = np.arange(rows, dtype=np.float64)
    assert make(times=Times(times, times + 1)).times.span == (0, rows)
    make(times=Times(1.0, 2.0))
    for wrong in (1, rows - 1, rows + 1):
        with pytest.raises(FrameError, match="neither one nor one per row"):
            make(times=Times(zeros(wrong, dtype="float64"), zeros(wrong, dtype="float64")))


def test_frames_cannot_be_changed() -> None:
    for frame in (image(), fibers()):
        with pytest.raises(FrozenInstanceError):
            frame.flux = zeros(1, 1)  # type: ignore[misc]


# -- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (5,), (2, 4, 5)])
def test_an_image_has_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"image 'r': flux must be \(ny, nx\)"):
        image(flux=zeros(*shape))


@pytest.mark.parametrize("shape", [(2, 2), (4,), (4, 3), (0, 2), (1, 4, 2)])
def test_a_footprint_is_a_polygon(shape: tuple[int, ...]) -> None:
    image(footprint=zeros(3, 2, dtype="float64"))
    with pytest.raises(FrameError, match="footprint must be"):
        image(footprint=zeros(*shape, dtype="float64"))


def test_an_image_without_cards_has_no_wcs() -> None:
    assert image().wcs is None


# -- fibres --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (3, 6, 1)])
def test_fibres_have_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameError, match=r"flux must be \(n, w\)"):
        fibers(flux=zeros(*shape))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"wave": Spectral.log_grid(0, 5)}, "5 wavelengths for 6 pixels"),
        ({"wave": Spectral(np.arange(7.0))}, "7 wavelengths for 6 pixels"),
        ({"wave": Spectral(np.tile(np.arange(6.0), (2, 1)))}, r"wavelengths \(2, 6\) for 3 fibres"),
        ({"id": ("a", "b")}, "3 fibres need as many different ids"),
        ({"id": ("a", "b", "a")}, "3 fibres need as many different ids"),
        ({"id": ("a", "b", "c", "d")}, "3 fibres need as many different ids"),
        ({"id": ("a", "a", "b", "c")}, "3 fibres need as many different ids"),
        ({"ra": zeros(2, dtype="float64")}, r"ra must be float64 \(3,\)"),
        ({"dec": zeros(3, 1, dtype="float64")}, r"dec must be float64 \(3,\)"),
        ({"ra": zeros(3)}, r"ra must be float64 \(3,\)"),
        ({"dec": zeros(3, dtype=">f8")}, r"dec must be float64 \(3,\)"),
        ({"target": ("a", "b")}, "2 values of target for 3 fibres"),
        ({"parent": "coadd", "parent_id": ("a",)}, "1 values of parent_id for 3 fibres"),
        ({"parent": "coadd"}, "parent and parent_id come together"),
        ({"parent_id": ("a", "b", "c")}, "parent and parent_id come together"),
        ({"columns": {Column("z", "float32"): zeros(4)}}, "4 values in column 'z' for 3 fibres"),
        ({"columns": {Column("c", "text"): ("a",)}}, "1 values in column 'c' for 3 fibres"),
        ({"layers": {"sky": Array(zeros(2, 6))}}, r"layer 'sky' \(2, 6\) is not per fibre"),
        ({"layers": {"sky": Array(zeros())}}, r"layer 'sky' \(\) is not per fibre"),
    ],
)
def test_what_does_not_fit_the_fibres_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(FrameError, match=f"group 'coadd': {says}"):
        fibers(**changed)


def test_what_fits_the_fibres_is_taken() -> None:
    made = fibers(
        wave=Spectral(np.tile(np.arange(6.0), (3, 1))), target=("", "59 Cyg", "é"),
        parent="fibers", parent_id=("a", "a", "b"), ra=np.full(3, np.nan),
        columns={Column("z", "float32"): zeros(3), Column("c", "text"): ("x", "", "y")},
        layers={"sky": Array(zeros(3, 6)), "amplitude": Array(zeros(3))},
    )  # fmt: skip
    assert made.wave.size == 6 and np.isnan(made.ra).all()


def test_a_group_may_have_no_fibre_and_no_pixel() -> None:
    assert fibers(count=0).flux.shape == (0, 6)
    assert fibers(width=0).wave.size == 0
    fibers(count=0, parent="coadd")  # there is no fibre that could name its parent


def test_every_refusal_can_be_caught_as_ours_and_as_a_value_error() -> None:
    for kind in (CorecubeError, ValueError):
        with pytest.raises(kind):
            image(name="")


# -- factors and provenance ----------------------------------------------------------------------


def test_factors_are_applied_and_leave_the_counts_alone() -> None:
    counts = np.array([[2, 4], [6, 8]], np.float32)
    before = counts.copy()
    for operation, result in (
        ("add", counts + 2),
        ("multiply", counts * 2),
        ("divide", counts / 2),
    ):
        factor = Factor("f", operation, np.array(2, np.float32), "", "test")  # type: ignore[arg-type]
        np.testing.assert_array_equal(factor.apply(counts), result)
        assert not np.shares_memory(factor.apply(counts), counts)
    np.testing.assert_array_equal(counts, before)


@pytest.mark.parametrize("operation", ["", "sub", "subtract", "mul", "Divide"])
def test_a_factor_refuses_what_it_cannot_do(operation: Any) -> None:
    with pytest.raises(FrameError, match=f"factor 'gain': '{operation}' is none of"):
        Factor("gain", operation, np.ones(1), "", "test")


def test_provenance_grows_at_its_end_and_survives_json() -> None:
    first = Provenance(sources=("a.fits",), parents=("r",), steps=("read",))
    second = first.add("divided by the gain", not_modelled=("fringes",), notes=("NaN in row 3",))
    assert first.steps == ("read",)
    assert second.steps == ("read", "divided by the gain")
    assert second.not_modelled == ("fringes",) and second.notes == ("NaN in row 3",)
    assert second.to_json() == {
        "sources": ["a.fits"], "parents": ["r"], "steps": ["read", "divided by the gain"],
        "not_modelled": ["fringes"], "notes": ["NaN in row 3"],
    }  # fmt: skip
    for provenance in (Provenance(), first, second):
        assert Provenance.from_json(provenance.to_json()) == provenance
    assert Provenance().to_json() == {}


def test_a_frame_starts_without_error_and_mask() -> None:
    frame: Frame = image()
    assert frame.error is None and frame.mask is None
    assert frame.provenance == Provenance() and frame.times.quality == "unknown"
