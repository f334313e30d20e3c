"""The browser on the real files: the numbers on the screen are those of the archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corecube
from corecube import masks
from corecube.archive.names import FiberRow, ImageRow
from corecube.text import number_text
from corecube_cli.browse.viewport import block_size
from corecube_cli.main import run

Browse = Any
Scene = Any


def value_text(value: Any, error: Any) -> str:
    sigma = number_text(error) if np.isfinite(error) else "?"
    return f"{number_text(value) if not np.isnan(value) else '--'} ± {sigma}"


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_sdss(browse: Browse, sdss_archive: Path, size: tuple[int, int]) -> None:
    with corecube.open(sdss_archive) as archive:
        spectrum: Any = archive.get("sdss/7330-56684-v5_10_0/coadd/0434").spectrum()  # type: ignore[union-attr]
        image: Any = archive.get("sdss/2820-3-0122/r").frame()  # type: ignore[union-attr]
    masked = int(np.flatnonzero(spectrum.error[0] != spectrum.error[0])[0])

    async def scene(s: Scene) -> None:
        # open, find a position
        await s.find("02:33:12.43 -00:08:02.1")
        assert "3 spectra" not in s.text and s.app.rows.source.count >= 9
        assert "▶spectrum" in s.text and "sdss/7330-56684-v5_10_0/coadd/0434" in s.text
        # a spectrum
        await s.press("enter")
        assert s.app.spectrum.has_focus
        for pixel in (114, 2000, masked):
            s.app.spectrum.move_to_pixel(pixel)
            await s.quiet()
            assert value_text(spectrum.flux[0, pixel], spectrum.error[0, pixel]) in s.text
            names = ", ".join(masks.names(int(spectrum.mask[0, pixel]))) or "none"
            assert f"mask {names}" in s.text
            assert f"pixel {pixel}  {spectrum.wave.wavelength()[pixel]:.10g} Angstrom" in s.text
        assert "1e-17 erg / (Angstrom s cm2)" in s.text
        # an image
        await s.find("2820-3-0122/r")
        await s.press("enter")
        assert s.app.image.has_focus
        ny, nx = image.flux.shape
        where = np.argwhere(image.mask != 0)
        spots = [(779, 482), (1640, 253), (nx - 1, ny - 1)]
        spots += [(int(x), int(y)) for y, x in where[:1]]
        for x, y in spots:
            s.app.image.move_to_pixel(x, y)
            await s.quiet()
            assert f"x {x} y {y}  {value_text(image.flux[y, x], image.error[y, x])} nanom" in s.text
            names = ", ".join(masks.names(int(image.mask[y, x]))) or "none"
            assert f"mask {names}" in s.text
        # quit
        await s.press("escape", "escape", "escape")
        await s.pilot.press("q")
        await s.until(lambda: not s.app.is_running, "the end")

    browse(sdss_archive, scene, size)


def test_what_is_drawn_is_the_pyramid(browse: Browse, sdss_archive: Path) -> None:
    with corecube.open(sdss_archive) as archive:
        flux = archive.get("sdss/2820-3-0122/r").frame().flux  # type: ignore[union-attr]

    async def scene(s: Scene) -> None:
        await s.press("enter", "0")
        region = s.app.image._region
        assert region.zoom == s.app.image._port.zoom > 0
        size = block_size(region.zoom)
        (y0, _), (x0, _) = region.rows, region.columns
        block = flux[(y0 + 3) * size : (y0 + 4) * size, (x0 + 5) * size : (x0 + 6) * size]
        mean = block.mean(dtype=np.float64)
        # sums of float32 over a block: relative error below 1e-4 of its mean absolute value
        assert abs(region.values[3, 5] - mean) < 1e-4 * np.abs(block).mean()

    browse(sdss_archive, scene, (200, 60), question="sdss/2820-3-0122/r")


def test_the_fibres_of_a_child_group(browse: Browse, sdss_archive: Path) -> None:
    async def scene(s: Scene) -> None:
        await s.press("e")
        assert s.app.rows.source.count == 6
        await s.press("enter")
        assert s.app.spectrum.spectrum.frame.parent == "coadd"
        assert "b1-00020717" in s.text

    browse(sdss_archive, scene, question="sdss/1325-52762-26/coadd/0133")


SHOWN = {
    "boss": "boss/simulated",
    "hetdex": "hetdex",
    "ccdlab": "ccdlab/saao",
}
"""Files of each other instrument that are quickly taken."""


@pytest.fixture(scope="session")
def others(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One archive of some real files of all other instruments that are installed."""
    from corecube.plugins import load_all

    archive = tmp_path_factory.mktemp("browse") / "others.corecube"
    usable = {plugin.name for plugin in load_all() if plugin.state == "ok"}
    for name, folder in SHOWN.items():
        if name in usable and (data / folder).is_dir():
            words = ["-q", "ingest", "-i", name, str(data / folder), "-a", str(archive), "-j", "1"]
            assert run(words) in (0, 3)
    if not archive.exists():
        pytest.skip("the real data have no folder of boss, hetdex or ccdlab")
    return archive


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
@pytest.mark.parametrize("name", sorted(SHOWN))
def test_every_instrument(browse: Browse, others: Path, name: str, size: tuple[int, int]) -> None:
    """A spectrum and an image, three pixels of each, as the API gives them."""
    with corecube.open(others) as archive:
        records = [r for r in archive.state.catalogue.by_identity.values() if r.instrument == name]
        if not records:
            pytest.skip(f"the real data have no files of {name}")
        groups = [(r, group) for r in records for group, _, rows in r.indexed if rows]
        record, group = groups[-1]
        row = FiberRow(archive, record, group, 0)
        spectrum, fiber = row.spectrum(), row.name
        wave = spectrum.wave.wavelength()
        wave = wave[0] if wave.ndim == 2 else wave
        record = next(r for r in records if r.images)
        picture: Any = ImageRow(archive, record, next(iter(record.images)))
        image = picture.frame()
    assert spectrum.error is not None and spectrum.mask is not None
    flux, error, mask = spectrum.flux[0], spectrum.error[0], spectrum.mask[0]
    outside = (mask & np.uint32(masks.value("outside"))) != 0
    inside = np.flatnonzero(np.isfinite(wave) & ~outside)
    excluded = inside[~masks.valid(mask[inside])]

    async def scene(s: Scene) -> None:
        await s.find(fiber)
        await s.press("enter")
        assert s.app.spectrum.has_focus and s.app.spectrum.spectrum.name == fiber
        for pixel in [int(p) for p in (inside[0], inside[len(inside) // 3], *excluded[:1])]:
            s.app.spectrum.move_to_pixel(pixel)
            await s.quiet()
            assert f"pixel {pixel}  " in s.text
            assert value_text(flux[pixel], error[pixel]) in s.text
            assert f"mask {', '.join(masks.names(int(mask[pixel]))) or 'none'}" in s.text
        if np.isfinite(spectrum.ra[0]):
            await s.find(f"{float(spectrum.ra[0])!r} {float(spectrum.dec[0])!r}")
            source = s.app.rows.source
            assert any(f"{source.place(n).shot}/" in fiber for n in range(source.count))
        await s.find(picture.name)
        await s.press("enter")
        assert s.app.image.has_focus
        ny, nx = image.flux.shape
        marked = [(int(x), int(y)) for y, x in np.argwhere(image.mask != 0)[:1]]
        for x, y in [(nx // 2, ny // 2), (nx - 1, ny - 1), *marked]:
            s.app.image.move_to_pixel(x, y)
            await s.quiet()
            assert f"x {x} y {y}  {value_text(image.flux[y, x], image.error[y, x])}" in s.text
            assert f"mask {', '.join(masks.names(int(image.mask[y, x]))) or 'none'}" in s.text
        await s.press("escape", "escape", "escape")
        await s.pilot.press("q")
        await s.until(lambda: not s.app.is_running, "the end")

    browse(others, scene, size)
