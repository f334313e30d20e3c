"""Transmission curves of files and of speclite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corecube.errors import CorecubeError, QueryError
from corecube.photometry import curves
from corecube.photometry.curves import curves_of
from corecube_sdssfiles.passbands import jun2001

PIVOTS = {"u": 3591.46, "g": 4701.39, "r": 6177.21, "i": 7496.54, "z": 8904.23}
"""Angstrom, of sdss2010, computed apart from this code."""


def test_a_set_of_speclite() -> None:
    pytest.importorskip("speclite", reason="the extra `curves` is not installed")
    found = curves_of("sdss2010")
    assert [curve.name for curve in found.curves] == list(PIVOTS)
    for curve in found.curves:
        # 0.1 A: these pivots are sums over a grid, ours exact integrals of the linear pieces
        assert curve.pivot == pytest.approx(PIVOTS[curve.name], abs=0.1)
        assert "speclite" in curve.source


def test_a_file_is_as_good_as_the_instrument_s_own(tmp_path: Path) -> None:
    lines = ["# mine", "band,wavelength,response"]
    for curve in reversed(jun2001().curves):
        lines += [
            f"{curve.name},{x!r},{y!r}"
            for x, y in zip(curve.wavelength.tolist(), curve.response.tolist(), strict=True)
        ]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = curves_of(str(path))
    for ours, theirs in zip(found.curves, jun2001().curves, strict=True):
        assert ours.name == theirs.name and ours.source == "mine.csv"
        assert np.array_equal(ours.wavelength, theirs.wavelength)
        assert np.array_equal(ours.response, theirs.response)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "has no column band, wavelength, response"),
        ("band,wavelength\ng,1\n", "has no column response"),
        ("band,wavelength,response\n", "holds no curve"),
        ("band,wavelength,response\ng,4000,x\n", "row 1 holds no two numbers"),
        ("band,wavelength,response\ng,4000\n", "row 1 holds no two numbers"),
        ("band,wavelength,response\ng,4000,0.1\ng,3000,0.1\n", "wavelengths must be positive"),
        ("\0\xff", "has no column"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CorecubeError) as caught:
        curves_of(str(path))
    assert line in str(caught.value) or "is no text with commas" in str(caught.value)


def test_what_is_neither_file_nor_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QueryError, match=r"missing.csv: No such file"):
        curves_of(str(tmp_path / "missing.csv"))
    monkeypatch.setitem(__import__("sys").modules, "speclite", None)
    with pytest.raises(QueryError, match=r"need speclite: .*corecube\[curves\]"):
        curves_of("sdss2010")
    monkeypatch.undo()
    pytest.importorskip("speclite", reason="the extra `curves` is not installed")
    with pytest.raises(QueryError, match="neither a file nor a set of curves; sets are"):
        curves_of("sdss")
    assert curves.COLUMNS == ("band", "wavelength", "response")
