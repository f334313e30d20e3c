"""Cutouts and spectra as FITS files, for everything that is not corecube.

A cutout has the extensions FLUX, ERROR, MASK, one ``BITS_<name>`` for each set of the file's own
mask bits, and the table PLANES that names all bits. A spectrum has the table SPECTRUM with a row
per pixel, the table FIBER with the values of the fibre, and the table PLANES.
"""

from __future__ import annotations

import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from corecube import masks
from corecube.archive.cutout import Window, pixel_of
from corecube.archive.names import FiberRow, ImageRow
from corecube.errors import QueryError
from corecube.text import printable

if TYPE_CHECKING:
    from corecube.frames import Bits, Fibers, Frame, Image

_CARD: Final = 72
"""Characters of text in a card without value (FITS standard 4.0, section 4.4.2.4)."""
_LONGEST_NAME: Final = 120
"""Characters of a file's name; file systems take 255 bytes."""


def file_name(*parts: str, taken: set[str] | None = None, suffix: str = ".fits") -> str:
    """Return a safe name of a file made of these parts.

    Parameters
    ----------
    *parts : str
        Joined by ``_``; what is not an ASCII letter, a digit or one of ``. _ + -`` becomes ``-``.
    taken : set of str, optional
        Names that are used already, in lower case; the new one is added. A name that is taken
        gets a number.
    suffix : str
        End of the name.
    """
    plain = (unicodedata.normalize("NFKD", part) for part in parts if part)
    stem = "_".join(re.sub(r"[^A-Za-z0-9._+-]+", "-", part).strip("-.") or "x" for part in plain)
    stem = stem[:_LONGEST_NAME] or "x"
    name, number = f"{stem}{suffix}", 1
    while taken is not None and name.lower() in taken:
        number += 1
        name = f"{stem}-{number}{suffix}"
    if taken is not None:
        taken.add(name.lower())
    return name


def cutout_bytes(
    row: ImageRow, image: Image, window: Window, ra: float, dec: float, command: str = ""
) -> bytes:
    """Return a cutout as a FITS file.

    Parameters
    ----------
    row : ImageRow
    image : Image
        The cutout itself, as ``row.cutout`` gives it.
    window : Window
    ra, dec : float
        ICRS degrees that were asked for.
    command : str
        Command line that makes it again.
    """
    from astropy.io import fits

    assert image.error is not None and image.mask is not None and image.cards is not None
    x, y = pixel_of(image.cards, ra, dec)
    primary = _primary(row, image, row.image, command)
    header = primary.header
    header["IMAGE"] = (_ascii(row.image), "image in the shot")
    if image.band:
        header["FILTER"] = (_ascii(image.band), "band")
    header["OBJECT"] = (_ascii(image.target or ""), "target of the image")
    header["RA"] = (ra, "[deg] position asked for, ICRS")
    header["DEC"] = (dec, "[deg] position asked for, ICRS")
    header["XPOS"] = (x + 1, "[pix] the position in this cutout, first pixel is 1")
    header["YPOS"] = (y + 1, "[pix] the position in this cutout, first pixel is 1")
    header["XFIRST"] = (window.x0 + 1, "[pix] column of the image in the first column")
    header["YFIRST"] = (window.y0 + 1, "[pix] row of the image in the first row")
    header["COVERAGE"] = (window.coverage, "part of the cutout that lies in the image")
    _times(header, *_row_times(image, window, y))
    wcs = fits.Header()
    for name, value in image.cards.items():
        wcs[name] = value
    hdus = [primary]
    for name, values in (("FLUX", image.flux), ("ERROR", image.error)):
        hdu = fits.ImageHDU(values, header=wcs.copy(), name=name)
        hdu.header["BUNIT"] = _ascii(image.unit)
        hdus.append(hdu)
    hdus[2].header["COMMENT"] = "1-sigma error; NaN where it is not known"
    hdus.append(fits.ImageHDU(image.mask, header=wcs.copy(), name="MASK"))
    _name_planes(hdus[-1].header, [plane.name for plane in masks.PLANES])
    for name, bits in image.bits.items():
        hdus.append(fits.ImageHDU(bits.values, header=wcs.copy(), name=_bits_name(name)))
        _name_planes(hdus[-1].header, bits.planes)
    hdus.append(_planes(image.bits))
    return _written(hdus)


def spectrum_bytes(row: FiberRow, fibers: Fibers, command: str = "") -> bytes:
    """Return a spectrum as a FITS file; padding at both ends is left out.

    Parameters
    ----------
    row : FiberRow
    fibers : Fibers
        One row, as ``row.spectrum`` gives it.
    command : str
        Command line that makes it again.

    Raises
    ------
    QueryError
        If the fibre has no pixel.
    """
    from astropy.io import fits

    assert fibers.error is not None and fibers.mask is not None
    wave = fibers.wave.wavelength()
    wave = wave[0] if wave.ndim == 2 else wave
    outside = (fibers.mask[0] & np.uint32(masks.value("outside"))) != 0
    inside = np.flatnonzero(np.isfinite(wave) & ~outside)
    if not inside.size:
        raise QueryError(f"{row.name} has no pixels")
    part = slice(int(inside[0]), int(inside[-1]) + 1)
    size = part.stop - part.start

    primary = _primary(row, fibers, row.group, command)
    header = primary.header
    header["GROUP"] = (_ascii(row.group), "group of fibres in the shot")
    header["FIBER"] = (_ascii(fibers.id[0]), "fibre in the group")
    header["OBJECT"] = (_ascii(fibers.target[0] if fibers.target else ""), "target")
    if np.isfinite(fibers.ra[0]) and np.isfinite(fibers.dec[0]):
        header["RA"] = (float(fibers.ra[0]), "[deg] ICRS")
        header["DEC"] = (float(fibers.dec[0]), "[deg] ICRS")
    _times(header, *fibers.times.span)

    columns = [
        _column("wavelength", wave[part], fibers.wave.unit),
        _column("flux", fibers.flux[0, part], fibers.unit),
        _column("error", fibers.error[0, part], fibers.unit),
        _column("mask", fibers.mask[0, part]),
    ]
    used = {"wavelength", "flux", "error", "mask"}
    single = []
    for name, layer in fibers.layers.items():
        values = layer.values[0]
        label = _free(name, used)
        if values.ndim >= 1 and values.shape[0] == wave.size:
            columns.append(_column(label, values[part], layer.unit))
        else:
            single.append(_column(label, values[None], layer.unit))
    for name, bits in fibers.bits.items():
        columns.append(_column(_free(name, used), bits.values[0, part]))
    table = fits.BinTableHDU.from_columns(columns, nrows=size, name="SPECTRUM")
    table.header["MEDIUM"] = (fibers.wave.medium, "wavelengths in air or vacuum")
    if fibers.wave.specsys:
        system = {"topocentric": "TOPOCENT", "heliocentric": "HELIOCEN", "barycentric": "BARYCENT"}
        table.header["SPECSYS"] = system[fibers.wave.specsys]
    table.header["COMMENT"] = "error: 1 sigma; NaN where it is not known"
    return _written([primary, table, _fiber_table(fibers, single), _planes(fibers.bits)])


def _fiber_table(fibers: Fibers, more: list[Any]) -> Any:
    """Return the instrument's columns as a table of one row."""
    from astropy.io import fits

    columns = [
        _column(column.name, np.asarray(values[:1]), column.unit, column.missing)
        for column, values in fibers.columns.items()
    ]
    table = fits.BinTableHDU.from_columns([*columns, *more], nrows=1, name="FIBER")
    for number, column in enumerate(fibers.columns, start=1):
        if column.description:
            table.header[f"TCOMM{number}"] = _ascii(column.description)
    return table


def _primary(row: ImageRow | FiberRow, frame: Frame, part: str, command: str) -> Any:
    """Return the first HDU: what it is and where it comes from."""
    from importlib.metadata import version

    from astropy.io import fits

    shot = row.archive.shot(row.record)
    primary = fits.PrimaryHDU()
    header = primary.header
    header["CREATOR"] = f"corecube {version('corecube')}"
    header["ARCHIVE"] = (_ascii(row.archive.path.name), "archive that it comes from")
    header["INSTRUME"] = (_ascii(row.record.instrument), "instrument")
    header["SHOT"] = (_ascii(row.record.key), "key of the shot")
    header["GENERATN"] = (shot.generation, "generation of the shot")
    header["TITLE"] = _ascii(row.record.title)
    lines = [f"{row.name}"]
    digests = {info.source.path.rsplit("/", 1)[-1]: info.source.digest for info in shot.infos}
    for source in frame.provenance.sources:
        digest = digests.get(source.rsplit("/", 1)[-1], "")
        lines += [f"source {source}"] + ([f"sha256 {digest}"] if digest else [])
    lines += [f"from {parent}" for parent in frame.provenance.parents]
    lines += frame.provenance.steps
    lines += [f"error without: {text}" for text in frame.provenance.not_modelled]
    lines += [f"note: {text}" for text in frame.provenance.notes]
    if command:
        lines.append(command)
    for line in lines:
        for part in textwrap.wrap(_ascii(line), _CARD, drop_whitespace=True):
            header["HISTORY"] = part
    return primary


def _row_times(image: Image, window: Window, y: float) -> tuple[float, float]:
    """Return start and end of the exposure of the position's row, else of all rows."""
    start, end = np.asarray(image.times.start), np.asarray(image.times.end)
    row = round(y) + window.y0 - window.rows[0]
    if start.ndim == 1 and 0 <= row < len(start):
        return float(start[row]), float(end[row])
    return image.times.span


def _times(header: Any, start: float, end: float) -> None:
    if not (np.isfinite(start) and np.isfinite(end)):
        return
    from astropy.time import Time

    header["TIMESYS"] = ("TAI", "scale of all times here")
    for key, mjd, what in (("BEG", start, "start"), ("END", end, "end")):
        header[f"MJD-{key}"] = (mjd, f"[d] {what} of the exposure")
        header[f"DATE-{key}"] = str(Time(mjd, format="mjd", scale="tai").isot)


def _name_planes(header: Any, planes: Iterable[str]) -> None:
    """Name the bits of a mask in its header: BIT0, BIT1, ..."""
    header["COMMENT"] = "bit n has the value 2**n; its name stands in BITn"
    for bit, name in enumerate(planes):
        if name:
            header[f"BIT{bit}"] = _ascii(name)


def _planes(bits: Mapping[str, Bits]) -> Any:
    """Return the table of all planes: of the core's mask, and of the file's own bits."""
    from astropy.io import fits

    rows = [("MASK", p.bit, p.name, p.excludes, p.description) for p in masks.PLANES]
    for name, own in bits.items():
        for bit, plane in enumerate(own.planes):
            if plane:
                rows.append((_bits_name(name), bit, plane, False, ""))
    arrays, numbers, names, excludes, abouts = zip(*rows, strict=True)
    return fits.BinTableHDU.from_columns(
        [
            _column("array", arrays),
            _column("bit", np.array(numbers, dtype=np.int16)),
            _column("value", np.array([2.0**number for number in numbers])),
            _column("plane", names),
            _column("excludes", np.array(excludes)),
            _column("description", abouts),
        ],
        name="PLANES",
    )


def _bits_name(name: str) -> str:
    return _ascii(f"BITS_{name}").upper()


def _free(name: str, used: set[str]) -> str:
    """Return a name of a column that differs from all others also without case."""
    number, label = 1, name
    while label.lower() in used:
        number += 1
        label = f"{name}_{number}"
    used.add(label.lower())
    return label


_CODES: Final = {
    "bool": "L", "uint8": "B", "int16": "I", "int32": "J", "int64": "K", "uint16": "I",
    "uint32": "J", "uint64": "K", "float32": "E", "float64": "D",
}  # fmt: skip
_OFFSETS: Final = {"uint16": 1 << 15, "uint32": 1 << 31, "uint64": 1 << 63}


def _column(name: str, values: Any, unit: str = "", missing: object = None) -> Any:
    """Return a column of a binary table; the first axis of `values` counts rows."""
    from astropy.io import fits

    array = np.asarray(values)
    if array.dtype.kind in "US":
        texts = [_ascii(str(text)) for text in array.tolist()]
        array = np.array(texts, dtype=np.bytes_)
        code = f"{max(array.dtype.itemsize, 1)}A"
        return fits.Column(_ascii(name), code, array=array)
    if array.dtype == np.int8 or array.dtype == np.float16:
        array = array.astype(np.int16 if array.dtype == np.int8 else np.float32)
    kind = str(array.dtype)
    cells = array.shape[1:]
    count = int(np.prod(cells)) if cells else 1
    return fits.Column(
        _ascii(name),
        f"{count if cells else ''}{_CODES[kind]}",
        unit=_unit(unit) if unit else None,
        bzero=_OFFSETS.get(kind),
        dim=f"({','.join(str(n) for n in reversed(cells))})" if len(cells) > 1 else None,
        null=int(missing) if isinstance(missing, int) and array.dtype.kind in "i" else None,
        array=array,
    )


def _unit(unit: str) -> str:
    """Return a unit as FITS spells it, or as it is where FITS does not know it."""
    from astropy.units import Unit

    try:
        return str(Unit(unit).to_string("fits"))
    except ValueError:  # nanomaggy, electron
        return _ascii(unit)


def _ascii(text: str) -> str:
    """Return printable ASCII, the only text of FITS (standard 4.0, sections 4.2.1 and 7.3.3)."""
    return printable(text).encode("ascii", "backslashreplace").decode("ascii")


def _written(hdus: list[Any]) -> bytes:
    from astropy.io import fits

    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)  # long names of bits
        fits.HDUList(hdus).writeto(stream)
    return stream.getvalue()
