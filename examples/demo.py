"""A tour on simulated sky: simulate, ingest, query, and measure what came back.

Five frames and three spectra with known truth are written in SDSS's formats, ingested, found by
position, and each source is measured on the cutouts and spectra that the query gave:

* flux of a star: the sum of the cutout's pixels within 4 arcsec, its sigma from the error image;
* flux of a spectrum: the mean flux density of its valid pixels between 6000 and 6600 Angstrom.

A pull is (found - true) / sigma. Beyond 5 something is wrong, and the program ends with code 1.

    python examples/demo.py --seed 1 --output demo
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import corecube
from corecube.archive.names import FiberRow, ImageRow
from corecube.masks import valid

APERTURE_ARCSEC = 4.0
"""The simulated stars are Gaussians of 1.5 arcsec FWHM at most: all their light is inside."""
PIXEL_ARCSEC = 0.396
CUTOUT = 64
LARGEST_PULL = 5.0
WAVE_RANGE = (6000.0, 6600.0)


@dataclass(frozen=True)
class Measurement:
    """One source in one image or spectrum."""

    source: str
    where: str
    true: float
    found: float
    sigma: float
    unit: str

    @property
    def pull(self) -> float:
        """(found - true) / sigma."""
        return (self.found - self.true) / self.sigma


def main() -> int:
    """Run the tour; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="another seed changes all values")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write into")
    options = parser.parse_args()
    files, archive = options.output / "simulated", options.output / "demo.corecube"
    for folder in (files, archive):
        shutil.rmtree(folder, ignore_errors=True)
    options.output.mkdir(parents=True, exist_ok=True)

    run("simulate", "--instrument", "sdss", files, "--seed", options.seed)
    truth = json.loads((files / "truth.json").read_text())
    run("ingest", "--instrument", "sdss", files, "--archive", archive)
    star = truth["sources"][0]
    run("query", archive, f"{star['ra']:.6f} {star['dec']:.6f}", "--radius", "2arcsec")

    measurements = measure(archive, truth)
    show(measurements)
    pulls = np.array([m.pull for m in measurements])
    print(
        f"\n{len(pulls)} measurements: mean pull {pulls.mean():+.2f}, standard deviation "
        f"{pulls.std():.2f}, largest {np.abs(pulls).max():.2f} (allowed {LARGEST_PULL:g})"
    )
    return 0 if np.abs(pulls).max() <= LARGEST_PULL else 1


def run(*arguments: object) -> None:
    """Run a command of corecube as a user would, and print it."""
    words = [str(argument) for argument in arguments]
    print("\n$ corecube " + " ".join(f"'{w}'" if " " in w else w for w in words), flush=True)
    subprocess.run([sys.executable, "-m", "corecube_cli", *words], check=True)


def measure(archive: Path, truth: dict[str, Any]) -> list[Measurement]:
    """Query the archive at each source and measure what it gives."""
    measured = []
    spectra = {entry["source"]: entry for entry in truth["spectra"]}
    places = np.array([(s["ra"], s["dec"]) for s in truth["sources"]])
    with corecube.open(archive) as opened:
        for number, source in enumerate(truth["sources"]):
            if crowded(places, number):
                continue
            position = (source["ra"], source["dec"])
            for row in opened.rows(opened.cone(position, "1 arcsec")):
                if isinstance(row, ImageRow):
                    found = in_image(row, source)
                elif isinstance(row, FiberRow):
                    found = in_spectrum(row, source, spectra[number])
                if found is not None:
                    measured.append(found)
    return measured


def crowded(places: np.ndarray, number: int) -> bool:
    """Say whether another source's light reaches the aperture."""
    scale = np.array([np.cos(np.radians(places[number, 1])), 1.0])
    apart = np.hypot(*((places - places[number]) * scale).T) * 3600
    apart[number] = np.inf
    return bool(apart.min() < 2 * APERTURE_ARCSEC)


def in_image(row: ImageRow, source: dict[str, Any]) -> Measurement | None:
    """Sum the aperture; None where it is not whole."""
    image, _ = row.cutout(source["ra"], source["dec"], CUTOUT)
    assert image.error is not None and image.mask is not None
    x, y = image.wcs.all_world2pix(source["ra"], source["dec"], 0)
    rows, columns = np.indices(image.flux.shape)
    inside = np.hypot(columns - x, rows - y) < APERTURE_ARCSEC / PIXEL_ARCSEC
    if not (valid(image.mask) & np.isfinite(image.error))[inside].all():
        return None
    return Measurement(
        source["name"],
        image.name,
        source["flux"][image.band],
        float(image.flux[inside].sum(dtype=np.float64)),
        float(np.sqrt(np.square(image.error[inside], dtype=np.float64).sum())),
        image.unit,
    )


def in_spectrum(row: FiberRow, source: dict[str, Any], truth: dict[str, Any]) -> Measurement | None:
    """Take the mean flux density of a range of wavelengths."""
    spectrum = row.spectrum()
    assert spectrum.error is not None and spectrum.mask is not None
    wave = spectrum.wave.wavelength()
    # spectra of a plate share one grid, which is wider than any of them
    expected = np.full(wave.shape, np.nan)
    first = truth["first"] - spectrum.wave.first
    expected[first : first + len(truth["flux"])] = truth["flux"]
    good = valid(spectrum.mask[0]) & (wave > WAVE_RANGE[0]) & (wave < WAVE_RANGE[1])
    count = np.count_nonzero(good)
    return Measurement(
        source["name"],
        f"spectrum {row.id}",
        float(expected[good].mean()),
        float(spectrum.flux[0, good].mean(dtype=np.float64)),
        float(np.sqrt(np.square(spectrum.error[0, good], dtype=np.float64).sum()) / count),
        spectrum.unit,
    )


def show(measurements: list[Measurement]) -> None:
    """Print the table of all measurements."""
    print(f"\n{'source':10} {'in':14} {'true':>10} {'found':>10} {'sigma':>9} {'pull':>6}  unit")
    for m in measurements:
        print(
            f"{m.source:10} {m.where:14} {m.true:10.4f} {m.found:10.4f} {m.sigma:9.4f} "
            f"{m.pull:+6.2f}  {m.unit}"
        )


if __name__ == "__main__":
    sys.exit(main())
