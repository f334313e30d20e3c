"""The settings of the instrument."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

from corecube.config import about

TYPES = ("bias", "dark", "flat", "arc", "science")
"""Types of frames, in the order in which their rules are tried."""


@dataclass(frozen=True)
class CcdlabConfig:
    """Settings of the instrument `ccdlab`.

    Attributes
    ----------
    preset : str
        Name of the detector description for all files; "": chosen by their headers.
    detectors : tuple of Path
        YAML files with detector descriptions of the user's; they come before the built-in ones.
    types : dict of str
        Types by file name (``*`` and ``?`` match); they win over all rules.
    targets : dict of str
        Names of targets by file name; they win over the headers.
    gain : float or None
        For all amplifiers, electrons per ADU.
    read_noise : float or None
        For all amplifiers, electrons.
    combine : {"median", "mean"}
        How masters are made.
    bias, dark, flat : bool
        Whether these masters are used at all.
    within_days : int or None
        How many nights away masters may be; None: as the description says.
    without_masters : bool
        Go on where masters that the description requires are missing.
    recipe : {"preset", "rows-above-sky", "boxcar", "none"}
        How a spectrum is extracted from the mean of the exposures.
    """

    preset: str = field(
        default="",
        metadata=about("name of the detector description for all files; empty: by their headers"),
    )
    detectors: tuple[Path, ...] = field(
        default=(), metadata=about("YAML files with detector descriptions of your own")
    )
    types: dict[str, str] = field(
        default_factory=dict,
        metadata=about(
            "types by file name (* and ? match), over all rules", choices=(*TYPES, "ignore")
        ),
    )
    targets: dict[str, str] = field(
        default_factory=dict,
        metadata=about("names of targets by file name (* and ? match), over the headers"),
    )
    gain: float | None = field(
        default=None,
        metadata=about("gain of all amplifiers", unit="electron / adu", minimum=1e-3, maximum=1e3),
    )
    read_noise: float | None = field(
        default=None,
        metadata=about("read noise of all amplifiers", unit="electron", minimum=0.0, maximum=1e4),
    )
    combine: Literal["median", "mean"] = field(
        default="median", metadata=about("how frames are combined to masters")
    )
    bias: bool = field(default=True, metadata=about("subtract a master bias"))
    dark: bool = field(default=True, metadata=about("subtract a master dark"))
    flat: bool = field(default=True, metadata=about("divide by a master flat"))
    within_days: int | None = field(
        default=None,
        metadata=about(
            "how many nights away masters may be; by default as the description says",
            unit="d",
            minimum=0,
        ),
    )
    without_masters: bool = field(
        default=False,
        metadata=about("go on without masters that the description requires"),
    )
    recipe: Literal["preset", "rows-above-sky", "boxcar", "none"] = field(
        default="preset", metadata=about("how a spectrum is extracted from the mean image")
    )

    def __post_init__(self) -> None:
        if not self.preset:
            return
        names = [*sorted(path.stem for path in self.detectors), *preset_names()]
        if self.preset not in names:
            raise ValueError(
                f"there is no detector description '{self.preset}'; there are {', '.join(names)}; "
                "name a file of your own with the setting detectors"
            )


def preset_names() -> list[str]:
    """Return the names of the built-in detector descriptions."""
    folder = resources.files("corecube_ccdlab") / "detectors"
    names = [file.name for file in folder.iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))
