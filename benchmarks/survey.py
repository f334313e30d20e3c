"""The survey that searches are measured on, and positions to ask for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

ARCSEC = 1.0 / 3600.0
FIBRES_PER_SHOT = 3300
FIELD = 11 / 60
"""Degrees: the radius of a field."""


def centres(shots: int, rng: np.random.Generator) -> tuple[Positions, Positions]:
    """Middles of the fields; a quarter of the shots have the field of another."""
    ra = rng.uniform(0, 360, shots)
    dec = np.degrees(np.arcsin(rng.uniform(-0.3, 0.95, shots)))
    again = rng.uniform(size=shots) < 0.25
    field = np.where(again, rng.integers(0, shots, shots), np.arange(shots))
    return ra[field], dec[field]


def around(
    ra: npt.ArrayLike, dec: npt.ArrayLike, number: int, rng: np.random.Generator
) -> tuple[Positions, Positions]:
    """Positions spread evenly over the fields around middles, which broadcast."""
    distance, angle = FIELD * np.sqrt(rng.uniform(size=number)), rng.uniform(0, 2 * np.pi, number)
    d = np.asarray(dec + distance * np.sin(angle))
    a = ra + distance * np.cos(angle) / np.cos(np.radians(d))
    return np.mod(a, 360.0), d


def survey(rows: int, rng: np.random.Generator) -> tuple[Positions, Positions, Numbers]:
    """RA, Dec and shot (from 0) of fibres, shot by shot."""
    shots = -(-rows // FIBRES_PER_SHOT)
    shot = np.repeat(np.arange(shots), FIBRES_PER_SHOT)[:rows]
    ra, dec = centres(shots, rng)
    return (*around(ra[shot], dec[shot], rows, rng), shot)


def nearby(
    ra: Positions, dec: Positions, number: int, rng: np.random.Generator
) -> tuple[Positions, Positions]:
    """Positions within 2 arcsec of fibres."""
    near = rng.integers(0, len(ra), number)
    d = np.clip(dec[near] + rng.uniform(-1, 1, number) * ARCSEC, -90.0, 90.0)
    return np.mod(ra[near] + rng.uniform(-1, 1, number) * ARCSEC, 360.0), d


def awkward(
    ra: Positions, dec: Positions, number: int, large: float, rng: np.random.Generator
) -> tuple[Positions, Positions, Positions]:
    """Circles where coverings go wrong: poles, RA 0 and 360, corners of HEALPix base cells.

    Half of them lie near fibres. Radii go from 0.1 arcsec to 180 degrees, evenly in their
    logarithm, but only the part `large` of them beyond 5 degrees: these have millions of rows.
    """
    a, d = nearby(ra, dec, number, rng)
    step = rng.normal(0, 1, number) * 10 ** rng.uniform(-5, 1, number)
    aside = rng.normal(0, 1, number) * 10 ** rng.uniform(-5, 1, number)
    corner = np.degrees(np.arcsin(2 / 3))
    kind = rng.integers(0, 8, number)  # 4 to 7 stay near a fibre
    for which, middle in ((0, 90.0), (1, -90.0), (2, corner * rng.choice([-1, 1], number))):
        d = np.where(kind == which, np.clip(middle + step, -90, 90), d)
    a = np.where(kind == 2, 45.0 * rng.integers(0, 8, number) + aside, a)
    a = np.where(kind == 3, rng.choice([0.0, 360.0], number) + aside, a)
    on = rng.uniform(size=number) < 0.05  # exactly there
    a = np.where(on & (kind == 3), 0.0, a)
    d = np.where(on & (kind < 2), np.sign(d) * 90.0, d)
    small = 0.1 * ARCSEC * (5.0 / (0.1 * ARCSEC)) ** rng.uniform(size=number)
    wide = np.minimum(5.0 * 36.1 ** rng.uniform(size=number), 180.0)
    return np.mod(a, 360.0), d, np.where(rng.uniform(size=number) < large, wide, small)


def vectors(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Positions:
    """Unit vectors, shape (n, 3)."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
