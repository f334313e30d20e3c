"""Descriptions of detectors: what a camera's frames are like, as YAML.

A file has one map, ``detector``, with the keys of `Detector`; those of the built-in descriptions
(`presets`) are examples. It is read by type: an unknown key, a wrong type or an impossible value is
an error with file, line and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

from corecube.config import about, from_json, load_settings, to_json
from corecube_ccdlab import rules
from corecube_ccdlab.settings import CcdlabConfig, preset_names

Need = Literal["required", "optional", "none"]


@dataclass(frozen=True)
class Quantity:
    """A number that a header may have.

    Attributes
    ----------
    keyword : str
        Card that has it; it comes before `value`.
    value : float or None
        Where there is no such card.
    source : str
        Where `value` comes from.
    """

    keyword: str = ""
    value: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Amplifier:
    """The part of a frame that one amplifier reads.

    Attributes
    ----------
    data : str
        Section of the exposed pixels, or the keyword of a card that has it.
    overscan : str
        Section of the pixels that tell the bias level, or a keyword; "": none.
    place : str
        Section of the assembled image where the data belong; "": the image is these data. Written
        from the far end, [1024:1,1:350], the data are turned.
    gain, read_noise : Quantity
        Electrons per ADU; electrons.
    """

    data: str = "[:,:]"
    overscan: str = ""
    place: str = ""
    gain: Quantity = field(default_factory=Quantity)
    read_noise: Quantity = field(default_factory=Quantity)


@dataclass(frozen=True)
class Overscan:
    """How the bias level is taken from the overscan.

    Attributes
    ----------
    level : {"constant", "rows", "columns"}
        One level per frame, one per row (overscan columns), or one per column (overscan rows).
    statistic : {"mean", "median"}
        The mean is clipped at 5 sigma. A median of integers is itself a half or an integer.
    """

    level: Literal["constant", "rows", "columns"] = "constant"
    statistic: Literal["mean", "median"] = "mean"


@dataclass(frozen=True)
class Masters:
    """Which masters a camera needs.

    Attributes
    ----------
    bias, dark, flat : {"required", "optional", "none"}
    within_days : int
        How many nights away they may be.
    """

    bias: Need = "required"
    dark: Need = "none"
    flat: Need = "optional"
    within_days: int = field(default=30, metadata=about("nights", unit="d", minimum=0))


@dataclass(frozen=True)
class FrameRules:
    """Rules for the types of frames, see `corecube_ccdlab.rules`; tried in this order."""

    bias: tuple[dict[str, list[str]], ...] = ()
    dark: tuple[dict[str, list[str]], ...] = ()
    flat: tuple[dict[str, list[str]], ...] = ()
    arc: tuple[dict[str, list[str]], ...] = ()
    science: tuple[dict[str, list[str]], ...] = ()


@dataclass(frozen=True)
class Extraction:
    """How a spectrum is taken from an image.

    Attributes
    ----------
    recipe : {"boxcar", "rows-above-sky", "none"}
    width : int
        Rows of the aperture across the dispersion, odd.
    sky : (int, int)
        First and last distance from the aperture's centre of the sky rows on both sides.
    edge : int
        Rows at both ends that are not looked at for the brightest one.
    """

    recipe: Literal["boxcar", "rows-above-sky", "none"] = "boxcar"
    width: int = field(default=13, metadata=about("pixels", unit="pix", minimum=1))
    sky: tuple[int, int] = (15, 35)
    edge: int = field(default=10, metadata=about("pixels", unit="pix", minimum=0))

    def __post_init__(self) -> None:
        if self.width % 2 == 0:
            raise ValueError(f"width {self.width} is even; take an odd number of rows")
        if not self.width // 2 < self.sky[0] <= self.sky[1]:
            raise ValueError(f"sky {self.sky} must lie beyond the aperture and rise")


@dataclass(frozen=True)
class Header:
    """Keywords by which a camera says when, where and what.

    Attributes
    ----------
    date, clock : str
        Card with date or date and time of the start (UTC), and the one with the time if apart.
    exposure : str
        Seconds.
    target : str
    target_in_name : str
        Regular expression with a group ``target``, where the header names none.
    ra, dec : str
        Degrees as numbers, hours and degrees as text.
    equinox : {"2000", "date"}
        That the position refers to.
    pedestal : str
        Card with a number to add to the counts to make them start at 0 (SBFITSEXT's PEDESTAL).
    done : str
        Card with letters of steps that the camera's software has done: B, D, F.
    setup : tuple of str
        Cards that biases and darks must share with what they calibrate.
    disperser : tuple of str
        Cards that flats and arcs must share too.
    binning : str
        Card with the binning along x and y, ``2 1``.
    saturation : str
        Card with the lowest saturated number of counts.
    """

    date: str = "DATE-OBS"
    clock: str = ""
    exposure: str = "EXPTIME"
    target: str = "OBJECT"
    target_in_name: str = ""
    ra: str = ""
    dec: str = ""
    equinox: Literal["2000", "date"] = "2000"
    pedestal: str = ""
    done: str = ""
    setup: tuple[str, ...] = ()
    disperser: tuple[str, ...] = ()
    binning: str = ""
    saturation: str = ""


@dataclass(frozen=True)
class Detector:
    """What the frames of one camera are like.

    Attributes
    ----------
    title : str
    camera : tuple of rules
        A file that fits one of them is of this camera.
    frames : FrameRules
    header : Header
    amplifiers : tuple of Amplifier
    overscan : Overscan
    masters : Masters
    extraction : Extraction
    dispersion : {"x", "y"}
        Axis along which the wavelength changes.
    arcs : {"target", "shared"}
        Whether arcs carry the name of their target, or serve all of a night.
    unsigned : bool
        The camera counts from 0 to 65535, whatever sign the file says.
    saturation : float
        Lowest saturated number of counts, ADU.
    bad : tuple of str
        Sections of the assembled image that are never any good.
    response_degree : int
        Of the polynomial in log(flat) along the dispersion that is divided out of flats.
    longitude : float
        Of the site, degrees east: a night goes from noon to noon.
    remarks : tuple of str
        What users should know before using the values.
    """

    title: str
    camera: tuple[dict[str, list[str]], ...]
    frames: FrameRules = field(default_factory=FrameRules)
    header: Header = field(default_factory=Header)
    amplifiers: tuple[Amplifier, ...] = (Amplifier(),)
    overscan: Overscan = field(default_factory=Overscan)
    masters: Masters = field(default_factory=Masters)
    extraction: Extraction = field(default_factory=Extraction)
    dispersion: Literal["x", "y"] = "x"
    arcs: Literal["target", "shared"] = "shared"
    unsigned: bool = True
    saturation: float = field(default=65535.0, metadata=about("counts", unit="adu", minimum=1.0))
    bad: tuple[str, ...] = ()
    response_degree: int = field(default=7, metadata=about("degree", minimum=0, maximum=40))
    longitude: float = field(
        default=0.0, metadata=about("east", unit="deg", minimum=-180.0, maximum=360.0)
    )
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.camera:
            raise ValueError("camera needs a rule; without one no file is of this camera")
        if not self.amplifiers:
            raise ValueError("amplifiers needs one")
        if len(self.amplifiers) > 1 and not all(part.place for part in self.amplifiers):
            raise ValueError("of several amplifiers each needs a place in the assembled image")
        every = [("camera", rule) for rule in self.camera]
        every += [
            (kind, rule) for kind in to_json(self.frames) for rule in getattr(self.frames, kind)
        ]
        for kind, rule in every:
            wrong = rules.problem(rule)
            if wrong:
                raise ValueError(f"rule of {kind}: {wrong}")


def read_detector(path: Path) -> Detector:
    """Read a description.

    Parameters
    ----------
    path : Path
        A YAML file with the map ``detector``.

    Raises
    ------
    ConfigurationError
        With all that is wrong, a line each.
    """
    settings = load_settings({"detector": Detector}, [path], environ={})
    return cast("Detector", settings.section("detector"))


@lru_cache(maxsize=1)
def presets() -> Mapping[str, Detector]:
    """Return the built-in descriptions by name."""
    folder = resources.files("corecube_ccdlab") / "detectors"
    found = {}
    for name in preset_names():
        with resources.as_file(folder / f"{name}.yaml") as path:
            found[name] = read_detector(path)
    return found


def library(config: CcdlabConfig) -> Mapping[str, Detector]:
    """Return all descriptions by name, the user's first.

    Raises
    ------
    ConfigurationError
        If a file is wrong.
    """
    own = {
        path.stem: _cached(str(path), path.stat().st_mtime_ns if path.exists() else 0)
        for path in config.detectors
    }
    every = own | {name: one for name, one in presets().items() if name not in own}
    if not config.preset:
        return every
    return {config.preset: every[config.preset]}


@lru_cache(maxsize=64)
def _cached(path: str, changed: int) -> Detector:
    return read_detector(Path(path))


def described(detectors: Mapping[str, Detector]) -> dict[str, Any]:
    """Return descriptions as plain JSON, for a plan."""
    return {name: to_json(one) for name, one in detectors.items()}


def from_plan(settings: Mapping[str, Any]) -> Mapping[str, Detector]:
    """Return the descriptions that a plan carries."""
    return {name: _from_text(_text(one)) for name, one in settings["detectors"].items()}


def _text(data: Any) -> str:
    import json

    return json.dumps(data, sort_keys=True)


@lru_cache(maxsize=64)
def _from_text(text: str) -> Detector:
    import json

    return from_json(Detector, json.loads(text), source="detector description of the plan")
