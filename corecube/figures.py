"""Figures: what an instrument reports of a shot, as numbers and drawings still to be drawn.

An instrument says what is to be seen; the command line and the browser draw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from corecube.errors import FrameError
from corecube.frames import Array, check_name
from corecube.units import check

SubjectKind = Literal["shot", "image", "fiber"]
PanelKind = Literal["lines", "points", "image", "histogram"]
FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes
    ----------
    kind : {"shot", "image", "fiber"}
    name : str
        Name of the image, or of the group of the fibre; "" for a shot.
    row : int
        Row of the fibre in its group.
    """

    kind: SubjectKind = "shot"
    name: str = ""
    row: int = -1

    def __post_init__(self) -> None:
        if self.kind not in get_args(SubjectKind):
            raise FrameError(f"subject '{self.kind}' is none of {get_args(SubjectKind)}")


@dataclass(frozen=True)
class Series:
    """One line, cloud of points, histogram or picture of a panel.

    In a histogram a series with `x` is a curve, the density that is expected; the values of the
    others are then drawn as densities.

    Attributes
    ----------
    label : str
    y : float array (k,), or (ny, nx) of a picture
    x : float array (k,), optional
        Positions of `y`; for a histogram `y` are the values and `x` is not needed.
    error : float array (k,), optional
        1-sigma, drawn as a band.
    valid : bool array of y's shape, optional
        False: marked as masked, and left out of scales and statistics.
    masked : str
        What the marks are called in the legend: the planes that exclude these pixels.
    marks : bool
        Among lines: drawn as points with bars, not as a line with a band.
    """

    label: str
    y: FloatArray
    x: FloatArray | None = None
    error: FloatArray | None = None
    valid: npt.NDArray[np.bool_] | None = None
    masked: str = "masked"
    marks: bool = False

    def __post_init__(self) -> None:
        for name in ("y", "x", "error"):
            part = getattr(self, name)
            if part is None and name != "y":
                continue
            if not isinstance(part, np.ndarray) or part.dtype.kind not in "fiu":
                kind = getattr(part, "dtype", type(part).__name__)
                raise FrameError(
                    f"series '{self.label}': {name} must be an array of numbers, not {kind}"
                )
            if part.shape != self.y.shape:
                raise FrameError(
                    f"series '{self.label}': {name} {part.shape} does not fit y {self.y.shape}"
                )
        if self.valid is not None and self.valid.shape != self.y.shape:
            raise FrameError(
                f"series '{self.label}': valid {self.valid.shape} does not fit y {self.y.shape}"
            )


@dataclass(frozen=True)
class Panel:
    """One drawing.

    Attributes
    ----------
    name : str
        Name of its file, without ending.
    title : str
    kind : {"lines", "points", "image", "histogram"}
    series : tuple of Series
        One for an image.
    x_label, y_label : str
    x_unit, y_unit : str
        For an image `y_unit` is that of its values.
    log : bool
        Logarithmic values; what is not positive gets a colour of its own.
    block : int
        For an image: pixels of the frame along each side of a pixel here; axes count the frame's.
    """

    name: str
    title: str
    kind: PanelKind
    series: tuple[Series, ...]
    x_label: str = ""
    y_label: str = ""
    x_unit: str = ""
    y_unit: str = ""
    log: bool = False
    block: int = 1

    def __post_init__(self) -> None:
        check_name(self.name, "panel")
        check(self.x_unit)
        check(self.y_unit)
        if self.kind not in get_args(PanelKind):
            raise FrameError(f"panel '{self.name}': '{self.kind}' is none of {get_args(PanelKind)}")
        if self.kind == "image" and (len(self.series) != 1 or self.series[0].y.ndim != 2):
            raise FrameError(f"panel '{self.name}': an image has one series of two dimensions")
        for series in self.series if self.kind != "image" else ():
            if series.y.ndim != 1:
                raise FrameError(
                    f"panel '{self.name}': series '{series.label}' {series.y.shape} is no line"
                )


@dataclass(frozen=True)
class Figures:
    """A report: numbers always, panels to be drawn where somebody draws.

    Attributes
    ----------
    numbers : mapping
        Plain JSON; names of the field, with units in the names or beside the values.
    panels : tuple of Panel
    arrays : mapping of name to Array
        What the instrument makes of a frame, in full: the report has shape, unit, median and so on
        of each. Of an array of the frame's shape minimum to maximum are of the pixels that no
        plane excludes.
    """

    numbers: Mapping[str, Any] = field(default_factory=dict)
    panels: tuple[Panel, ...] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)


def block_means(values: FloatArray, side: int = 1100) -> tuple[npt.NDArray[np.float64], int]:
    """Return means of square blocks, small enough for a picture, and the size of a block.

    Parameters
    ----------
    values : float array (ny, nx)
        What is not finite is left out.
    side : int
        Pixels along the longer side of the result at most.

    Returns
    -------
    means : float64 array
        NaN where a block has no finite value.
    block : int
        A power of two.
    """
    block = 1
    while -(-max(values.shape) // block) > side:
        block *= 2
    exact = values.astype(np.float64)
    if block == 1:
        return exact, block
    good = np.isfinite(exact)
    edges = [np.arange(0, length, block) for length in values.shape]

    def summed(part: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        rows = np.add.reduceat(part, edges[0], axis=0)
        return np.asarray(np.add.reduceat(rows, edges[1], axis=1), dtype=np.float64)

    count = summed(good.astype(np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return summed(np.where(good, exact, 0.0)) / count, block
