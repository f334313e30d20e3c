"""Real spectra of M3 by the older reduction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corecube.archive.reader import Archive
from corecube.masks import value
from corecube_hetdex.settings import HetdexConfig

pytestmark = pytest.mark.xdist_group("hetdex")

SHOT = "hetdex/cure/20160409v301"


def test_golden_values(archive: Archive) -> None:
    shot = archive.shot(SHOT)
    assert shot.row_count("cure") == 448
    left, right = shot.rows("cure", 0, 224), shot.rows("cure", 224, 448)
    assert left.error is not None and right.error is not None
    assert np.count_nonzero(np.isnan(right.flux)) == np.count_nonzero(np.isnan(right.error)) == 63
    assert np.count_nonzero(np.isnan(left.flux)) == 92
    assert np.count_nonzero(left.flux < 0) == 432
    assert right.flux[202, 400] == pytest.approx(11282.747, abs=1e-3)
    assert right.error[202, 400] == pytest.approx(445.132, abs=1e-3)
    medians = np.nanmedian(right.flux, axis=1)
    assert int(np.argmax(medians)) == 202
    wave = right.wave.wavelength()
    assert wave[0] == 3500 and wave[1] - wave[0] == pytest.approx(1.89999997615814, abs=1e-12)


def test_without_errors_there_are_none(archive: Archive) -> None:
    left = archive.shot(SHOT).rows("cure", 0, 224)
    assert left.error is not None and left.mask is not None
    assert np.isnan(left.error).all()
    assert (left.mask & np.uint32(value("no_error")) != 0).all()
    assert any("no file of errors" in note for note in left.provenance.notes)


def test_cone_at_the_brightest_fibre(archive: Archive, hetdex_data: Path) -> None:
    lines = (hetdex_data / "m3" / "ifuPos084.txt").read_text().splitlines()
    ra, dec = (float(word) for word in lines[426].split()[:2])
    found = archive.cone((ra, dec), "3 arcsec").fibers
    rows = [archive.get(f"{SHOT}/cure/{name}").row for name in found["id"].values]  # type: ignore[union-attr]
    assert sorted(rows) == [406, 407, 425, 426, 427, 445, 446]
    assert rows[0] == 426


def test_offset_and_order_are_settings(hetdex_data: Path, read: Callable[..., Any]) -> None:
    folder = hetdex_data / "m3"
    paths = [*folder.glob("*Fepses*"), folder / "ifuPos084.txt"]
    moved = read(*paths, config=HetdexConfig(cure_offset=(14.75, 1.75)))
    right = moved["20160409T100026.3_084_R"]["cure"]
    # the fibre on the brightest star of the image
    assert right.ra[202] == pytest.approx(205.612899, abs=1e-6)
    assert right.dec[202] == pytest.approx(28.390328, abs=1e-6)
    turned = read(*paths, config=HetdexConfig(cure_right_first=["084"]))
    left = turned["20160409T100026.3_084_L"]["cure"]
    text = (folder / "ifuPos084.txt").read_text().splitlines()[224]
    assert left.ra[0] == float(text.split()[0])


def test_positions_of_another_pointing_are_not_joined(
    hetdex_data: Path, tmp_path: Path, read: Callable[..., Any]
) -> None:
    text = (hetdex_data / "m3" / "ifuPos084.txt").read_text().replace("205.", "195.")
    (tmp_path / "ifuPos084.txt").write_text(text)
    (path,) = (hetdex_data / "m3").glob("Fepses*_R.fits.bz2")
    frame = read(path, tmp_path / "ifuPos084.txt")["20160409T100026.3_084_R"]["cure"]
    assert np.isnan(frame.ra).all()
    assert any("positions are not known" in note for note in frame.provenance.notes)
