"""Frames: what instruments hand over and archives give back.

A frame is one set of arrays of one detector or product: an `Image` or a set of `Fibers`. It holds
all that its calibration and its noise need, so that factors, checks and reports work from the
archive when the raw files are gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.masks import MaskArray
from corecube.provenance import Provenance
from corecube.recipes import Recipe
from corecube.spectral import Spectral
from corecube.times import Times
from corecube.units import check

FloatArray = npt.NDArray[np.floating[Any]]
Operation = Literal["add", "multiply", "divide"]

# PyTables does not find a node whose name ends with a dot.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._+-]{0,78}[A-Za-z0-9 _+-])?")
_BIT_DTYPES = ("uint8", "uint16", "uint32", "uint64")


def check_name(name: str, what: str) -> str:
    """Return `name` if it may name a frame, group, layer, entry or column.

    Raises
    ------
    FrameError
        If it does not begin with a letter or digit, ends with a dot, is longer than 80 characters,
        or has others than letters, digits, blanks and ``. _ + -``.
    """
    if not _NAME.fullmatch(name):
        raise FrameError(
            f"{what} '{name}' is no name: use 1 to 80 letters, digits, blanks, '._+-', "
            "beginning with a letter or digit and not ending with a dot"
        )
    return name


def _native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values, as files have them, in the byte order of this machine."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class Link:
    """Where an array stands in another shot of the archive: it is stored once, and named here.

    Attributes
    ----------
    shot : str
        Identity, ``instrument/key``, of a shot that the plan needs.
    generation : int
        Of its file.
    frame : str
        Name of the image.
    field : str
        ``flux``, ``error``, ``mask``, ``layers/NAME`` or ``calibration/NAME``.
    digest : str
        Of the values and their description; checked when the link is followed.
    """

    shot: str
    generation: int
    frame: str
    field: str
    digest: str


@dataclass(frozen=True)
class Array:
    """An array with its unit and the meaning of its axes.

    Attributes
    ----------
    values : array of numbers
    unit : str
    axes : tuple of str
        A name per axis: ``fiber``, ``wave``, ``y``, ``x``, or the instrument's own.
    description : str
        One sentence.
    link : Link, optional
        Of an array that a needed shot has (`Shot.linked` makes it): only the link is stored.
    """

    values: npt.NDArray[Any]
    unit: str = ""
    axes: tuple[str, ...] = ()
    description: str = ""
    link: Link | None = None

    def __post_init__(self) -> None:
        check(self.unit)
        values = np.asarray(self.values)
        if values.dtype.kind not in "fiub":
            raise FrameError(f"an array must hold numbers, not {values.dtype}")
        if self.axes and len(self.axes) != values.ndim:
            raise FrameError(f"axes {self.axes} do not name the {values.ndim} axes of the array")
        object.__setattr__(self, "values", _native(values))


def digest_of(array: Array) -> str:
    """Return 16 hex digits of the sha256 of an array and of what is said of it."""
    values = np.asarray(array.values, order="C")  # ascontiguousarray would make scalars (1,)
    about = f"{values.dtype.str}{values.shape}{array.unit}{array.axes}{array.description}"
    return hashlib.sha256(about.encode() + values.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Bits:
    """A file's own mask bits, unchanged.

    Attributes
    ----------
    values : uint8, uint16, uint32 or uint64 array, shape of the flux
    planes : tuple of str
        A name per bit, "" for a bit without one.
    """

    values: npt.NDArray[np.unsignedinteger[Any]]
    planes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _native(self.values))
        if self.values.dtype.name not in _BIT_DTYPES:
            raise FrameError(f"bits must be unsigned integers, not {self.values.dtype}")
        if len(self.planes) > 8 * self.values.dtype.itemsize:
            raise FrameError(f"{len(self.planes)} planes do not fit into {self.values.dtype}")
        named = [plane for plane in self.planes if plane]
        if len(set(named)) != len(named):
            raise FrameError("two bits have the same name")


@dataclass(frozen=True)
class Column:
    """A value per fibre: its name, type, unit and meaning.

    Attributes
    ----------
    name : str
    dtype : str
        A numpy type such as ``float32`` or ``int64``, or ``text``.
    unit : str
    description : str
        One sentence.
    missing : int or float or str, optional
        The stored value that means "missing"; for floats NaN does so always.
    """

    name: str
    dtype: str
    unit: str = ""
    description: str = ""
    missing: float | int | str | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "column")
        check(self.unit)
        try:
            good = self.dtype == "text" or np.dtype(self.dtype).kind in "fiub"
        except TypeError:
            good = False
        if not good:
            raise FrameError(
                f"column '{self.name}': type '{self.dtype}' is neither number nor text"
            )


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What `Image` and `Fibers` share.

    Attributes
    ----------
    name : str
        Name of the image, or of the group that the fibres are a block of.
    flux : float32 (or float64) array, native byte order
    unit : str
        Unit of flux and error.
    error : array of flux's type and shape, or None before the noise step
        1-sigma error; NaN where not known (plane ``no_error``).
    mask : uint32 array of flux's shape, or None before the noise step
        The core's planes (`corecube.masks`).
    bits : mapping of name to Bits
    layers : mapping of name to Array
        Arrays on the frame's own axes: sky, wdisp, model.
    calibration : mapping of name to Array
        What the calibration and the noise need, on any axes.
    header : str
        The header of the file, a card a line.
    times : Times
    provenance : Provenance
    """

    name: str
    flux: FloatArray
    unit: str
    error: FloatArray | None = None
    mask: MaskArray | None = None
    bits: Mapping[str, Bits] = field(default_factory=dict)
    layers: Mapping[str, Array] = field(default_factory=dict)
    calibration: Mapping[str, Array] = field(default_factory=dict)
    header: str = ""
    times: Times = field(default_factory=Times)
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        where = f"frame '{self.name}'"
        check_name(self.name, "frame")
        check(self.unit)
        if self.flux.dtype.name not in ("float32", "float64") or not self.flux.dtype.isnative:
            raise FrameError(
                f"{where}: flux must be native float32 or float64, not {self.flux.dtype}"
            )
        shape = self.flux.shape
        if self.error is not None and (
            self.error.shape != shape or self.error.dtype != self.flux.dtype
        ):
            raise FrameError(
                f"{where}: error {self.error.dtype} {self.error.shape} does not fit flux "
                f"{self.flux.dtype} {shape}"
            )
        if self.mask is not None and (self.mask.shape != shape or self.mask.dtype != np.uint32):
            raise FrameError(
                f"{where}: mask {self.mask.dtype} {self.mask.shape} is not uint32 {shape}"
            )
        for name, bits in self.bits.items():
            check_name(name, "bits")
            if bits.values.shape != shape:
                raise FrameError(f"{where}: bits '{name}' {bits.values.shape} are not {shape}")
        for kind in (self.layers, self.calibration):
            for name in kind:
                check_name(name, "array")
        times = np.shape(self.times.start)
        if times not in ((), shape[:1]):
            raise FrameError(f"{where}: times {times} are neither one nor one per row of {shape}")


@dataclass(frozen=True, kw_only=True)
class Image(Frame):
    """A two-dimensional image, with a WCS if it has a place on the sky.

    Attributes
    ----------
    flux : float array (ny, nx)
    cards : mapping of str to number or text, or None
        The FITS WCS cards (CTYPE1, CRPIX1, CD1_1, ...), float64.
    band : str
    target : str
    footprint : float64 array (k, 2), or None
        ICRS degrees of the corners of the image's outline, convex, in order around it; outer
        pixel edges (-0.5 and n - 0.5).
    recipe : Recipe, optional
        A formula of the core that gives the error from the flux and calibration arrays, bit for
        bit; an archive may then leave the error out. It is not relied upon but tried.
    """

    cards: Mapping[str, float | int | str] | None = None
    band: str = ""
    target: str = ""
    footprint: npt.NDArray[np.float64] | None = None
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flux.ndim != 2:
            raise FrameError(f"image '{self.name}': flux must be (ny, nx), not {self.flux.shape}")
        if self.footprint is not None and (
            self.footprint.ndim != 2 or self.footprint.shape[0] < 3 or self.footprint.shape[1] != 2
        ):
            raise FrameError(f"image '{self.name}': the footprint must be (k, 2) with k >= 3")

    @property
    def wcs(self) -> Any:
        """The `astropy.wcs.WCS` of the cards, None without cards."""
        if self.cards is None:
            return None
        from corecube.wcs import from_cards

        return from_cards(self.cards)


@dataclass(frozen=True, kw_only=True)
class Fibers(Frame):
    """Spectra of one group, a row each.

    Attributes
    ----------
    flux : float array (n, w)
    wave : Spectral
        For (w,) or (n, w) pixels.
    id : tuple of str, n
        Unique in the group.
    ra, dec : float64 array (n,), ICRS degrees
        NaN: no position on the sky.
    target : tuple of str, n, or ()
    columns : mapping of Column to array or sequence of str (n,)
    parent : str
        The group whose fibres these are more spectra of, "" for a group that is indexed.
    parent_id : tuple of str, n, or ()
    images : tuple of str
        Names of the shot's images that the fibres were extracted from.
    image : int32 array (n,), or None
        For each fibre its place in `images`, -1 for none (in a block without images all are
        -1). With a layer ``trace`` (n, w) of rows, pixel k of a fibre lies at
        (row ``trace[i, k]``, column k) of its image.
    """

    wave: Spectral
    id: tuple[str, ...]
    ra: npt.NDArray[np.float64]
    dec: npt.NDArray[np.float64]
    target: tuple[str, ...] = ()
    columns: Mapping[Column, Any] = field(default_factory=dict)
    parent: str = ""
    parent_id: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    image: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f"group '{self.name}'"
        if self.flux.ndim != 2:
            raise FrameError(f"{where}: flux must be (n, w), not {self.flux.shape}")
        count, width = self.flux.shape
        if self.wave.size != width:
            raise FrameError(f"{where}: {self.wave.size} wavelengths for {width} pixels")
        wave = self.wave.values
        if wave is not None and wave.ndim == 2 and wave.shape[0] != count:
            raise FrameError(f"{where}: wavelengths {wave.shape} for {count} fibres")
        traces = self.wave.traces
        if traces is not None and len(traces.coefficients) != count:
            raise FrameError(f"{where}: {len(traces.coefficients)} traces for {count} fibres")
        if self.images and self.image is None:
            raise FrameError(f"{where}: images without image: which fibre has which?")
        if self.image is not None:
            if self.image.shape != (count,) or self.image.dtype != np.int32:
                raise FrameError(f"{where}: image must be int32 ({count},)")
            if count and not -1 <= self.image.min() <= self.image.max() < len(self.images):
                raise FrameError(
                    f"{where}: image names places outside of {len(self.images)} images"
                )
        if len(set(self.id)) != count or len(self.id) != count:
            raise FrameError(f"{where}: {count} fibres need as many different ids")
        for text in self.id:
            check_name(text, "fibre id")
        for name, part in (("ra", self.ra), ("dec", self.dec)):
            if part.shape != (count,) or part.dtype != np.float64:
                raise FrameError(f"{where}: {name} must be float64 ({count},), not {part.shape}")
        for name, texts in (("target", self.target), ("parent_id", self.parent_id)):
            if texts and len(texts) != count:
                raise FrameError(f"{where}: {len(texts)} values of {name} for {count} fibres")
        if bool(self.parent) != bool(self.parent_id) and count:
            raise FrameError(f"{where}: parent and parent_id come together")
        for column, values in self.columns.items():
            if len(values) != count:
                raise FrameError(
                    f"{where}: {len(values)} values in column '{column.name}' for {count} fibres"
                )
        for name, layer in self.layers.items():
            if layer.values.shape[:1] != (count,):
                raise FrameError(f"{where}: layer '{name}' {layer.values.shape} is not per fibre")


@dataclass(frozen=True)
class Factor:
    """One visible step from counts to flux; replayed in order.

    Attributes
    ----------
    name : str
    operation : {"add", "multiply", "divide"}
    values : float array, broadcastable to the frame's flux
    unit : str
        Unit of `values`.
    source : str
        The file, table or array that the values come from.
    """

    name: str
    operation: Operation
    values: FloatArray
    unit: str
    source: str

    def __post_init__(self) -> None:
        if self.operation not in get_args(Operation):
            raise FrameError(
                f"factor '{self.name}': '{self.operation}' is none of {get_args(Operation)}"
            )

    def apply(self, counts: FloatArray) -> FloatArray:
        """Return `counts` after this step, as a new array."""
        if self.operation == "add":
            return counts + self.values
        if self.operation == "multiply":
            return counts * self.values
        return counts / self.values


@dataclass(frozen=True)
class NoiseCheck:
    """Quoted errors of one frame against what the data say.

    Attributes
    ----------
    name : str
        Name of the frame.
    pixels : int
        Number of pixels used.
    width : float
        Robust width of the pulls; 1 where the errors are right.
    slope, floor : float
        Line through measured against quoted variance, NaN where not fitted.
    recipe : str
        How the numbers were made, one sentence.
    pulls : float array (k,), optional
        The values whose width is given, 0 +- 1 where the errors are right; for a histogram.
    """

    name: str
    pixels: int
    width: float
    slope: float = float("nan")
    floor: float = float("nan")
    recipe: str = ""
    pulls: FloatArray | None = field(default=None, repr=False, compare=False)
