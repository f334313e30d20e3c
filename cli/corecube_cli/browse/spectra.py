"""One spectrum as plain data, and what is said of each of its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube import masks
from corecube.text import printable
from corecube_cli.browse.cells import measured
from corecube_cli.browse.facts import Section, fiber_facts
from corecube_cli.browse.places import Fiber

if TYPE_CHECKING:
    from corecube.archive import Archive
    from corecube.frames import Bits, Fibers


@dataclass(frozen=True)
class Spectrum:
    """A spectrum with all that is shown of it.

    Attributes
    ----------
    place : Fiber
    name : str
        Full name.
    frame : Fibers
        One row, as the archive gives it.
    wave : float64 array (w,)
    """

    place: Fiber
    name: str
    frame: Fibers
    wave: npt.NDArray[np.float64]

    @cached_property
    def flux(self) -> npt.NDArray[Any]:
        """Flux as it is stored, (w,)."""
        flux: npt.NDArray[Any] = self.frame.flux[0]
        return flux

    @cached_property
    def error(self) -> npt.NDArray[Any]:
        """1-sigma error as it is stored, (w,)."""
        assert self.frame.error is not None
        error: npt.NDArray[Any] = self.frame.error[0]
        return error

    @cached_property
    def mask(self) -> npt.NDArray[np.uint32]:
        """The core's planes, (w,)."""
        assert self.frame.mask is not None
        mask: npt.NDArray[np.uint32] = self.frame.mask[0]
        return mask

    @cached_property
    def shown(self) -> npt.NDArray[np.intp]:
        """Pixels that are on the screen: those with a wavelength that are no padding."""
        outside = (self.mask & np.uint32(masks.value("outside"))) != 0
        return np.flatnonzero(np.isfinite(self.wave) & ~outside)

    @cached_property
    def good(self) -> npt.NDArray[np.bool_]:
        """Pixels without an excluding plane and with a finite flux, (w,)."""
        return np.asarray(masks.valid(self.mask) & np.isfinite(self.flux))

    @property
    def axis(self) -> tuple[str, str]:
        """What the wavelengths are: medium, frame of rest; "" where that is not known."""
        return self.frame.wave.medium, self.frame.wave.specsys

    def readout(self, pixel: int) -> list[str]:
        """Return what is stored at a pixel: where, value with error."""
        unit = self.frame.wave.unit
        parts = [f"pixel {pixel}"]
        if unit != "pix" or self.wave[pixel] != pixel:
            parts.append(f"{self.wave[pixel]:.10g} {unit}")
        parts.append(measured(self.flux[pixel], self.error[pixel]))
        return parts

    def flags(self, pixel: int) -> list[str]:
        """Return the planes of the core that are set at a pixel, and the instrument's bits."""
        names = ", ".join(masks.names(int(self.mask[pixel]))) or "none"
        return [f"mask {names}", *bit_texts(self.frame.bits, (0, pixel))]


def bit_texts(named: Mapping[str, Bits], place: tuple[int, int]) -> list[str]:
    """Return the instrument's own bits that are set at a pixel, ``and_mask NAME, NAME``."""
    found = []
    for name, bits in named.items():
        value = int(bits.values[place])
        names = [plane or f"bit {bit}" for bit, plane in enumerate(bits.planes) if value >> bit & 1]
        rest = value >> len(bits.planes)
        names += [f"bit {len(bits.planes) + b}" for b in range(rest.bit_length()) if rest >> b & 1]
        if names:
            found.append(printable(f"{name} {', '.join(names)}"))
    return found


def read_spectrum(archive: Archive, place: Fiber) -> Spectrum:
    """Read a spectrum; runs in the archive's thread.

    Raises
    ------
    QueryError
        If the shot, the group or the row is gone.
    ArchiveDamaged
    """
    from corecube.archive.names import FiberRow
    from corecube.errors import QueryError

    record = archive.record(place.shot)
    row = FiberRow(archive, record, place.group, place.row)
    frame = row.spectrum()
    if not frame.id:
        raise QueryError(f"{place.shot}/{place.group} has no row {place.row + 1} any more")
    wave = frame.wave.wavelength()
    wave = wave[0] if wave.ndim == 2 else wave
    name = printable(f"{place.shot}/{place.group}/{frame.id[0]}")
    return Spectrum(place, name, frame, wave)


def spectrum_facts(archive: Archive, spectrum: Spectrum) -> list[Section]:
    """Return what the details say of a spectrum that has been read."""
    from corecube.archive.names import FiberRow

    place = spectrum.place
    row = FiberRow(archive, archive.record(place.shot), place.group, place.row)
    return fiber_facts(row, spectrum.frame, spectrum.wave)
