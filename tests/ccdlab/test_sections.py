"""Sections as real headers have them, and any other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corecube.errors import FileNotUnderstood
from corecube_ccdlab.sections import Section, is_absent, parse_section

IMAGE = np.arange(30 * 40).reshape(30, 40)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("[1:966,4110:4190]               ", slice(4109, 4190), slice(0, 966)),
        (" [ 1 : 40 , 1:30 ]", slice(0, 30), slice(0, 40)),
        ("[2064:1,1:1032]", slice(0, 1032), slice(0, 2064)),
        ("[*,3]", slice(2, 3), slice(0, 2100)),
        ("[:,:]", slice(0, 4200), slice(0, 2100)),
        ("[5:,:7]", slice(0, 7), slice(4, 2100)),
    ],
)
def test_real_texts(text: str, rows: slice, columns: slice) -> None:
    section = parse_section(text, (4200, 2100), "file")
    assert (section.y0, section.y1, section.x0, section.x1) == (
        rows.start, rows.stop, columns.start, columns.stop,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["UNKNOWN", "unknown", "", "N/A", " none ", None])
def test_absent(text: str | None) -> None:
    assert is_absent(text)


def test_a_reversed_section_has_the_same_pixels_turned() -> None:
    plain, turned = (parse_section(t, IMAGE.shape, "f") for t in ("[3:9,2:5]", "[9:3,2:5]"))
    assert np.array_equal(plain.of(IMAGE), turned.of(IMAGE))
    assert np.array_equal(turned.turned(turned.of(IMAGE)), plain.of(IMAGE)[:, ::-1])
    assert (str(plain), str(turned)) == ("[3:9,2:5]", "[9:3,2:5]")


@pytest.mark.parametrize(
    "text", ["[0:5,1:5]", "[1:41,1:30]", "[1:40,1:31]", "1:5,1:5", "[1:5]", "[1:5,1:5,1:2]",
             "[1.5:3,1:2]", "[-1:5,1:5]", "[a:b,1:2]"],
)  # fmt: skip
def test_refused_with_the_file_and_the_size(text: str) -> None:
    with pytest.raises(FileNotUnderstood, match=r"x\.fits: BIASSEC") as caught:
        parse_section(text, IMAGE.shape, "x.fits: BIASSEC")
    assert text in str(caught.value) or text.strip("[]") in str(caught.value)


def test_detector_pixels_on_a_binned_frame() -> None:
    # CCDSEC of VIRUS with CCDSUM '2 1' on 1032 columns
    section = parse_section("[1:2064,1:1032]", (1032, 1032), "f", (2, 1))
    assert section == Section(0, 1032, 0, 1032)
    # whole image pixels only: of detector columns 2 to 5 only the pair 3, 4
    assert parse_section("[2:5,1:80]", (40, 20), "f", (2, 2)) == Section(1, 2, 0, 40)
    with pytest.raises(FileNotUnderstood, match="NAXIS1"):
        parse_section("[1:2064,1:1032]", (1032, 1000), "f", (2, 1))


@st.composite
def ranges(draw: st.DrawFn, length: int) -> tuple[str, int, int, bool]:
    low = draw(st.integers(1, length))
    high = draw(st.integers(1, length))
    blank = draw(st.sampled_from(["", " ", "  "]))
    return f"{blank}{low}{blank}:{high}{blank}", min(low, high), max(low, high), low > high


@given(ranges(40), ranges(30))
def test_any_section(x: tuple[str, int, int, bool], y: tuple[str, int, int, bool]) -> None:
    section = parse_section(f"[{x[0]},{y[0]}]", IMAGE.shape, "f")
    part = section.of(IMAGE)
    assert part.shape == section.shape == (y[2] - y[1] + 1, x[2] - x[1] + 1)
    assert part[0, 0] == IMAGE[y[1] - 1, x[1] - 1]
    assert (section.flip_x, section.flip_y) == (x[3], y[3])
    assert parse_section(str(section), IMAGE.shape, "f") == section


@given(st.text(max_size=30))
def test_any_text_is_a_section_or_refused(text: str) -> None:
    try:
        section = parse_section(text, IMAGE.shape, "f")
    except FileNotUnderstood:
        return
    assert section.of(IMAGE).size > 0
