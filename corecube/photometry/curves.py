"""Transmission curves in place of those of an instrument: from a file, or of speclite's sets."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import numpy as np

from corecube.errors import QueryError
from corecube.photometry.passbands import Passband, Passbands

COLUMNS: Final = ("band", "wavelength", "response")
"""Of a file of curves."""

EXTRA: Final = "pip install 'corecube[curves]'"


def curves_of(name: str) -> Passbands:
    """Return the curves of a file, or of a set of speclite.

    Parameters
    ----------
    name : str
        A CSV file with the columns band, wavelength (Angstrom, vacuum as the spectra) and response
        to photons (electrons per photon up to a factor), or the name of a set, as ``sdss2010``:
        Doi et al. 2010, AJ 139, 1628, the mean of the six camera columns.

    Raises
    ------
    QueryError
        If there is neither, or the file is not such.
    FrameError
        If a curve is none.
    """
    path = Path(name)
    return _of_file(path) if path.suffix or path.is_file() else _of_speclite(name)


def _of_file(path: Path) -> Passbands:
    points: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(line for line in file if not line.startswith("#"))
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise QueryError(
                    f"{path}: has no column {', '.join(missing)}; a file of curves has the columns "
                    f"{', '.join(COLUMNS)}"
                )
            for number, row in enumerate(rows, 1):
                try:
                    point = float(row["wavelength"]), float(row["response"])
                except (TypeError, ValueError) as error:
                    raise QueryError(f"{path}: row {number} holds no two numbers") from error
                points.setdefault(row["band"], []).append(point)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "is no text with commas"
        raise QueryError(f"{path}: {reason}") from error
    if not points:
        raise QueryError(f"{path}: holds no curve")
    return Passbands(path.name, _rising(path.name, points))


def _rising(source: str, points: dict[str, list[tuple[float, float]]]) -> tuple[Passband, ...]:
    curves = []
    for band, part in points.items():
        wavelength, response = np.array(part, dtype=np.float64).T
        curves.append(Passband(band, wavelength, response, source))
    return tuple(sorted(curves, key=lambda curve: float(curve.wavelength.mean())))


def _of_speclite(name: str) -> Passbands:
    try:
        from speclite import filters
    except ImportError as error:
        raise QueryError(
            f"'{name}' is no file, and sets of curves by name need speclite: {EXTRA}"
        ) from error
    if name not in filters.filter_group_names:
        known = ", ".join(sorted(filters.filter_group_names))
        raise QueryError(f"'{name}' is neither a file nor a set of curves; sets are {known}")
    curves: list[Any] = list(filters.load_filters(f"{name}-*"))
    return Passbands(
        name,
        tuple(
            Passband(
                curve.meta["band_name"],
                np.asarray(curve.wavelength, dtype=np.float64),
                np.asarray(curve.response, dtype=np.float64),
                f"{curve.name} of speclite, {curve.meta.get('url', '')}".rstrip(", "),
            )
            for curve in curves
        ),
    )
