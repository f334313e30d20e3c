"""The tables beside the spectra, and the traps in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corecube.errors import FileNotUnderstood
from corecube_hetdex import texts
from corecube_hetdex.names import Amplifier, ShotName, exposure_of_path, field_of, three_digits


def row(ra: object, number: int, exposure: int = 1, amp: str = "LL") -> str:
    return (
        f"{ra} 51.1 ifu074 -1.27 0.0 {number}.5 149.7 "
        f"multi_319_074_052_{amp}_{number:03d}.ixy 20260101T071231.5 exp{exposure:02d}"
    )


def test_rows_are_joined_by_name() -> None:
    lines = [row(10.0 + n / 1000, n) for n in range(1, 113)] + [row(20.0, 3, 2)]
    order = np.random.default_rng(0).permutation(len(lines))
    found = texts.read_dithall("\n".join(lines[k] for k in order).encode())
    assert set(found) == {(1, "multi_319_074_052_LL"), (2, "multi_319_074_052_LL")}
    places = found[1, "multi_319_074_052_LL"]
    np.testing.assert_array_equal(places.ra, 10.0 + np.arange(1, 113) / 1000)
    second = found[2, "multi_319_074_052_LL"]
    assert second.ra[2] == 20.0 and second.fpx[2] == 3.5
    assert np.isnan(np.delete(second.ra, 2)).all()  # missing rows are not those before


def test_a_header_line_and_nan_are_read() -> None:
    text = "ra dec ifuslot XS YS xfplane yfplane multifits timestamp exposure\n" + row("nan", 7)
    places = texts.read_dithall(text.encode())[1, "multi_319_074_052_LL"]
    assert np.isnan(places.ra).all() and places.fpx[6] == 7.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (row(1.0, 5) + "\n" + row(1.1, 5), "fibre 5 of multi_319_074_052_LL comes twice"),
        (row(1.0, 113), "from 1 to 112"),
        (row(1.0, 5).replace("_005.ixy", "_abc.ixy"), "names no fibre"),
        (row(1.0, 5).replace("multi_319_074_052", "mult2_319_074_052"), "no name of an amplifier"),
        ("1 2 3", "no table of positions"),
    ],
)
def test_bad_rows_are_named(text: str, words: str) -> None:
    with pytest.raises(FileNotUnderstood, match=words):
        texts.read_dithall(text.encode(), "x.dithall")


def test_real_fplanes(hetdex_data: Path) -> None:
    folder = hetdex_data / "shot20180611v017"
    plane, later = (
        texts.read_fplane((folder / name).read_text()) for name in ("fplane.txt", "fplane_2019.txt")
    )
    # the same slot leads elsewhere in another year; one file has blanks, the other tabs
    assert (plane["047"].specid, plane["047"].ifuid) == ("312", "065")
    assert (later["047"].specid, later["047"].ifuid) == ("308", "024")
    assert (plane["022"].x, plane["022"].y) == (-349.743, 250.336)


def test_fplane_refuses() -> None:
    with pytest.raises(FileNotUnderstood, match="is no IFU"):
        texts.read_fplane("074 1.0 x 319 118 052 0.0 1.0")
    with pytest.raises(FileNotUnderstood, match="twice"):
        texts.read_fplane("074 1 2 319 118 052 0 1\n074 1 2 319 118 052 0 1")


def test_small_tables() -> None:
    lines = " '20180611T054545tot.als     '     0.0000   0.0000 1.0\n" \
        " '20180611T055249tot.als'     1.2150   -0.7000 1.0 0.0\n"  # fmt: skip
    np.testing.assert_array_equal(texts.read_dithers(lines), [[0, 0], [1.215, -0.7]])
    assert texts.read_tangent_point("359.9961003 51.35 291.67\n").pa == 291.67
    with pytest.raises(FileNotUnderstood, match="one line"):
        texts.read_tangent_point("359.9 151.35 291.67\n")
    seeing = texts.read_seeing("20260101v007 1.700 0.050 9\n20260101v008 1.9 0.1 4\n")
    assert seeing["20260101v008"] == (1.9, 0.1, 4)
    curve = np.array([[4520.0, 0.1, 0, 0], [4540.0, 0.118119, 0, 0]])
    assert texts.response(curve) == 0.118119
    assert np.isnan(texts.response(curve[:1]))


def test_names() -> None:
    amplifier = Amplifier.of_text("multi_319_083_023_RL_001.ixy")
    assert amplifier == Amplifier("083", "319", "023", "RL")
    assert amplifier.multiframe == "multi_319_083_023_RL"
    assert Amplifier.of_text("multi_319_83_023_RL") is None
    shot = ShotName.of_path("/data/20180124v010/sci/multi_1.fits")
    assert shot == ShotName(20180124, 10) and shot.shotid == 20180124010
    assert ShotName.of_path("/data/120180124v010/x") is None
    assert ShotName.of_path("/a/20180124v010/20190101v002_x.dat") == ShotName(20190101, 2)
    assert exposure_of_path("/exp02/virus/multi.fits") == 2
    assert exposure_of_path("/virus/multi.fits") == 0
    assert [three_digits(value) for value in (84, "84", "084", "x", 1234)] == [
        "084", "084", "084", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "field"),
    [("DEXcos_3", "cosmos"), ("DEXfl012", "dex-fall"), ("HS_0001", "dex-spring"), ("M31", "other"),
     ("parallel", "parallel"), ("EGS1", "egs"), ("SIM074_E", "other")],
)  # fmt: skip
def test_fields(name: str, field: str) -> None:
    assert field_of(name) == field
