"""Which images of a cube have light of the wavelengths asked for: by the curves of their bands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from corecube.archive.names import ImageRow
from corecube.photometry.passbands import Passbands
from corecube.shots import Shot

PassbandsOf = Callable[[Shot], Passbands | None]
"""Gives the passbands of a shot's instrument, None where none are known."""


@dataclass
class ByBand:
    """Images as their bands choose them.

    Attributes
    ----------
    rows : list of ImageRow
        Those that stay.
    other : list of str
        Names of those whose band has no light of the wavelengths.
    unknown : list of str
        Names of those that stay because no curve of their band is known.
    """

    rows: list[ImageRow] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def choose_images(
    rows: Iterable[ImageRow], wavelength: tuple[float, float] | None, passbands: PassbandsOf
) -> ByBand:
    """Return which images have light of some wavelengths.

    Parameters
    ----------
    rows : iterable of ImageRow
    wavelength : (float, float) or None
        Angstrom. None: all stay.
    passbands : callable
    """
    found = ByBand()
    for row in rows:
        if wavelength is None:
            found.rows.append(row)
            continue
        band = str(row.record.images[row.image]["band"])
        bands = passbands(row.shot())
        known = bands is not None and band in bands
        if bands is not None and known and not bands[band].reaches(*wavelength):
            found.other.append(row.name)
            continue
        found.rows.append(row)
        if not known:
            found.unknown.append(row.name)
    return found


def some(names: Sequence[str], most: int = 3) -> str:
    """Return the first names in words, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
