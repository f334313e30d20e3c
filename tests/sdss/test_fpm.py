"""Masks of fpM files, pixel for pixel."""

from __future__ import annotations

import gzip
import io
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from corecube.errors import FileNotUnderstood
from corecube.fits import Fits
from corecube.masks import value
from corecube_sdss.frames import Field
from corecube_sdss.masks import read_fpm
from corecube_sdssfiles.maskbits import FPM, IMAGE_PLANES, SPECTRUM_PLANES, SPPIXMASK, core_planes

GOLDEN = runpy.run_path(str(Path(__file__).with_name("golden.py")))
FULL = (1489, 2048)


@pytest.mark.parametrize("row", GOLDEN["FPM"], ids=lambda row: row[0])
def test_true_pixel_counts(sdss_data: Path, row: tuple[str, tuple[int, ...], int]) -> None:
    name, planes, any_plane = row
    run, camcol, field = (int(part) for part in name.split("/")[0].split("-"))
    mask = read_fpm(
        gzip.decompress((sdss_data / name).read_bytes()), Field(run, camcol, field), FULL
    )
    assert tuple(int((mask >> bit & 1).sum()) for bit in range(len(FPM))) == planes
    assert np.count_nonzero(mask) == any_plane


def fpm_file(planes: list[list[tuple[int, int, int]]], run: int = 1) -> bytes:
    """Write an fpM file with an object per span."""
    primary = fits.PrimaryHDU()
    for name, number in (("RUN", run), ("CAMCOL", 1), ("FIELD", 11), ("NPLANE", len(planes))):
        primary.header[name] = number
    primary.header["MASKROWS"], primary.header["MASKCOLS"] = FULL
    hdus: list[Any] = [primary]
    for spans in planes:
        cells = np.empty(len(spans), dtype=object)
        cells[:] = [np.frombuffer(np.array(span, ">u2").tobytes(), np.uint8) for span in spans]
        zero = np.zeros(len(spans), np.int32)
        hdus.append(
            fits.BinTableHDU.from_columns(
                [
                    fits.Column("nspan", "J", array=zero + 1),
                    fits.Column("row0", "J", array=zero),
                    fits.Column("col0", "J", array=zero),
                    fits.Column("s", "PB()", array=cells),
                ]
            )
        )
    file = io.BytesIO()
    fits.HDUList(hdus).writeto(file)
    return file.getvalue()


SPAN = st.tuples(st.integers(0, 70), st.integers(0, 90), st.integers(0, 15)).map(
    lambda span: (span[0], span[1], span[1] + span[2])
)


@settings(max_examples=30)
@given(
    st.lists(st.lists(SPAN, max_size=4), min_size=10, max_size=10),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
)
def test_spans_are_painted_exactly(
    planes: list[list[tuple[int, int, int]]], origin: tuple[int, int]
) -> None:
    truth: npt.NDArray[np.uint16] = np.zeros(FULL, np.uint16)
    for plane, spans in enumerate(planes):
        for row, first, last in spans:
            truth[row, first : last + 1] |= np.uint16(1 << plane)
    x, y = origin
    ours = read_fpm(fpm_file(planes), Field(1, 1, 11), (50, 60), origin)
    assert np.array_equal(ours, truth[y : y + 50, x : x + 60])


def test_broken_masks_have_clear_lines() -> None:
    empty: list[list[tuple[int, int, int]]] = [[] for _ in range(10)]
    with pytest.raises(FileNotUnderstood, match="this fpM is of 2-1-0011, not 1-1-0011"):
        read_fpm(fpm_file(empty, run=2), Field(1, 1, 11), FULL, name="a.fit")
    with pytest.raises(FileNotUnderstood, match="HDU 0: 9 planes, 10 were expected"):
        read_fpm(fpm_file(empty[1:]), Field(1, 1, 11), FULL)
    with pytest.raises(FileNotUnderstood, match="HDU 1: spans reach beyond 1489 rows"):
        read_fpm(fpm_file([[(1489, 0, 1)], *empty[1:]]), Field(1, 1, 11), FULL)
    content = fpm_file([[(5, 0, 1)], *empty[1:]])
    with pytest.raises(FileNotUnderstood, match="is cut"):
        read_fpm(content[: Fits(content)[1].offset + 3], Field(1, 1, 11), FULL)
    at = content.index((1).to_bytes(4, "big") + bytes(8), 2880)
    with pytest.raises(FileNotUnderstood, match="HDU 1: the spans do not have the length"):
        read_fpm(content[:at] + (2).to_bytes(4, "big") + content[at + 4 :], Field(1, 1, 11), FULL)


@given(st.integers(0, 1023))
def test_planes_of_the_core_in_images(bits: int) -> None:
    expected = 0
    for bit, name in enumerate(FPM):
        if bits >> bit & 1 and name in IMAGE_PLANES:
            expected |= value(IMAGE_PLANES[name])
    found = core_planes(np.array([[bits]], np.uint16), FPM, IMAGE_PLANES)
    assert found.tolist() == [[expected]]
    assert "NOTCHECKED" not in IMAGE_PLANES


@given(st.integers(0, 2**32 - 1))
def test_planes_of_the_core_in_spectra(bits: int) -> None:
    expected = 0
    for bit, name in enumerate(SPPIXMASK):
        if bits >> bit & 1 and name in SPECTRUM_PLANES:
            expected |= value(SPECTRUM_PLANES[name])
    found = core_planes(np.array([bits], np.uint32), SPPIXMASK, SPECTRUM_PLANES)
    assert found.tolist() == [expected]


def test_bits_have_their_numbers() -> None:
    numbers = {"NOPLUG": 0, "SMEARMEDSN": 12, "NEARBADPIXEL": 16, "BRIGHTSKY": 23, "REDMONSTER": 28}
    assert {name: SPPIXMASK.index(name) for name in numbers} == numbers
    assert FPM.index("CR") == 9
