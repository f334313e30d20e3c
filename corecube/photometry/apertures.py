"""Circular apertures on images: which pixels lie in one, by centre or by overlap, and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corecube import wcs
from corecube.errors import QueryError
from corecube.frames import Image
from corecube.masks import valid

FloatArray = npt.NDArray[np.float64]

LARGEST = 5000.0
"""Pixels of radius that are taken: beyond, an aperture is a mistake in the unit."""


@dataclass(frozen=True)
class ApertureFlux:
    """The sum of an image over an aperture.

    Attributes
    ----------
    flux, sigma : float
        In the image's unit times pixels; NaN if no valid pixel lies in the aperture. Pixels are
        taken as independent.
    coverage : float
        Part of the aperture on valid pixels, 0 to 1. What is missing is not made up for.
    pixels : float
        Valid pixels, or their area, in the aperture.
    x, y : float
        The aperture's centre, 0-based.
    radius : float, pixels
    """

    flux: float
    sigma: float
    coverage: float
    pixels: float
    x: float
    y: float
    radius: float


def aperture_weights(
    x: float, y: float, radius: float, shape: tuple[int, int], exact: bool = False
) -> tuple[slice, slice, FloatArray, float]:
    """Return the weights of the pixels in a circle.

    Parameters
    ----------
    x, y : float
        Centre, 0-based.
    radius : float, pixels
    shape : (int, int)
        (ny, nx) of the image.
    exact : bool
        Weights are areas of overlap; else 1 for pixels whose centre is not outside.

    Returns
    -------
    rows, columns : slice
        The part of the image that the weights are of; may be empty.
    weights : float64 array
    whole : float
        Sum of the weights of the circle had the image no edges.

    Raises
    ------
    QueryError
        If the radius is not positive or absurdly large.
    """
    _check(radius)
    if not (np.isfinite(x) and np.isfinite(y) and max(abs(x), abs(y)) < 2.0**31):
        return slice(0, 0), slice(0, 0), np.zeros((0, 0)), 0.0
    left, low = int(np.floor(x - radius)), int(np.floor(y - radius))
    across = np.arange(left, int(np.ceil(x + radius)) + 1, dtype=np.float64) - x
    up = np.arange(low, int(np.ceil(y + radius)) + 1, dtype=np.float64) - y
    if exact:
        edges_x = np.append(across - 0.5, across[-1] + 0.5)
        edges_y = np.append(up - 0.5, up[-1] + 0.5)
        corner = _disc_below(edges_x[None, :], edges_y[:, None], radius)
        weights = np.diff(np.diff(corner, axis=0), axis=1)
        weights[weights < 1e-12 * radius**2] = 0.0  # what differences leave of a zero
    else:
        weights = (np.hypot(across[None, :], up[:, None]) <= radius).astype(np.float64)
    whole = float(weights.sum())
    return (*_clipped(weights, left, low, shape), whole)


def _check(radius: float) -> None:
    if not 0 < radius <= LARGEST:
        raise QueryError(f"an aperture of {radius:g} pixels is not possible; use up to {LARGEST:g}")


def _clipped(
    weights: FloatArray, left: int, low: int, shape: tuple[int, int]
) -> tuple[slice, slice, FloatArray]:
    """Return the part of weights that lies in an image, and which part of the image that is."""
    (height, width), (ny, nx) = weights.shape, shape
    rows = slice(min(max(low, 0), ny), max(min(low + height, ny), 0))
    columns = slice(min(max(left, 0), nx), max(min(left + width, nx), 0))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return slice(0, 0), slice(0, 0), np.zeros((0, 0))
    part = weights[rows.start - low : rows.stop - low, columns.start - left : columns.stop - left]
    return rows, columns, part


def _disc_below(x: FloatArray, y: FloatArray, radius: float) -> FloatArray:
    """Return the area of a disc around 0 that lies at u <= x and v <= y."""
    r2 = radius**2
    u, v = np.clip(x, -radius, radius), np.clip(y, -radius, radius)

    def half(w: FloatArray) -> FloatArray:
        inside: FloatArray = w * np.sqrt(np.maximum(r2 - w**2, 0.0)) + r2 * np.arcsin(w / radius)
        return inside

    hu, hv = half(u), half(v)
    inner = u * v + (hu + hv) / 2.0 + np.pi * r2 / 4.0
    below_u, below_v = np.pi * r2 / 2.0 + hu, np.pi * r2 / 2.0 + hv
    outer = np.where(
        u > 0,
        np.where(v > 0, below_u + below_v - np.pi * r2, below_v),
        np.where(v > 0, below_u, 0.0),
    )
    return np.where(u**2 + v**2 < r2, inner, outer)


def pixel_scale(cards: Any, x: float, y: float) -> float:
    """Return the side in arcsec of a square of the area of the pixel at (x, y)."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    ra, dec = wcs.to_sky(cards, x + corners[:, 0], y + corners[:, 1])
    east = (np.mod(ra - ra[0] + 180.0, 360.0) - 180.0) * np.cos(np.radians(dec.mean()))
    north = dec - dec[0]
    doubled = np.dot(east, np.roll(north, -1)) - np.dot(north, np.roll(east, -1))
    return float(np.sqrt(abs(doubled) / 2.0)) * 3600.0


def aperture_flux(
    image: Image, ra: float, dec: float, radius: float, exact: bool = False
) -> ApertureFlux:
    """Return the sum of an image over a circle on the sky.

    Parameters
    ----------
    image : Image
        With errors and a WCS; a cutout will do.
    ra, dec : float, degrees
    radius : float, arcsec
    exact : bool
        Pixels count by the area of their overlap with a circle in pixels of the mean scale; else
        all whose centre is within the radius on the sky.

    Raises
    ------
    QueryError
        If the image has no WCS or no errors, or the radius is not possible.
    """
    if image.cards is None or image.error is None or image.mask is None:
        raise QueryError(f"image '{image.name}' has no WCS or no errors; it has no apertures")
    x, y = map(float, wcs.to_pixel(image.cards, ra, dec))
    if not (np.isfinite(x) and np.isfinite(y)):
        return ApertureFlux(np.nan, np.nan, 0.0, 0.0, x, y, np.nan)
    pixels = radius / pixel_scale(image.cards, x, y)
    _check(pixels)
    shape = (image.flux.shape[0], image.flux.shape[1])
    if exact:
        rows, columns, weights, whole = aperture_weights(x, y, pixels, shape, exact=True)
    else:
        rows, columns, weights, whole = _by_separation(image.cards, ra, dec, radius, pixels, shape)
    key = (rows, columns)
    flux = image.flux[key].astype(np.float64)
    error = image.error[key].astype(np.float64)
    good = valid(image.mask[key]) & np.isfinite(flux) & np.isfinite(error)
    used = np.where(good, weights, 0.0)
    area = float(used.sum())
    if not area > 0:
        return ApertureFlux(np.nan, np.nan, 0.0, 0.0, x, y, pixels)
    return ApertureFlux(
        float(np.sum(used * np.where(good, flux, 0.0))),
        float(np.sqrt(np.sum((used * np.where(good, error, 0.0)) ** 2))),
        area / whole,
        area,
        x,
        y,
        pixels,
    )


def _by_separation(
    cards: Any, ra: float, dec: float, radius: float, pixels: float, shape: tuple[int, int]
) -> tuple[slice, slice, FloatArray, float]:
    """Return the weights of the pixels whose centre lies in a circle on the sky.

    Pixels are not quite square, nor alike everywhere, so each centre is asked.
    """
    x, y = map(float, wcs.to_pixel(cards, ra, dec))
    reach = int(np.ceil(1.1 * pixels)) + 1
    low, left = round(y) - reach, round(x) - reach
    up, across = np.mgrid[low : low + 2 * reach + 1, left : left + 2 * reach + 1]
    there = separation(*wcs.to_sky(cards, across.ravel(), up.ravel()), ra, dec) <= radius
    whole = float(np.count_nonzero(there))
    inside = there.reshape(up.shape).astype(np.float64)
    return (*_clipped(inside, left, low, shape), whole)


def separation(ra: FloatArray, dec: FloatArray, ra0: float, dec0: float) -> FloatArray:
    """Return the distance in arcsec of positions in degrees from one, by the haversine formula."""
    first, second = np.radians(dec), np.radians(dec0)
    half = np.sin((first - second) / 2.0) ** 2
    half = half + np.cos(first) * np.cos(second) * np.sin(np.radians(ra - ra0) / 2.0) ** 2
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.minimum(half, 1.0)))) * 3600.0)
