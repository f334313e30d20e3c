"""What the tables beside a shot's spectra say: read once for all entries of a shot."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np

from corecube.frames import Array
from corecube.shots import Context, ShotPlan, Source
from corecube_hetdex import texts
from corecube_hetdex.astrometry import DITHERS, TangentPoint, focal_plane, separation
from corecube_hetdex.frames import Conditions, Floats, Places
from corecube_hetdex.names import Exposure

KINDS: Final = (
    "radec2",
    "getoff2",
    "mch",
    "norm",
    "sky",
    "throughput",
    "dithall",
    "fplane",
    "fwhm",
)
"""Files that serve all amplifiers of a shot."""

AGREES: Final = 0.01
"""Arcsec; positions of tables have 7 decimals, which is 0.0004 arcsec."""

_known: weakref.WeakKeyDictionary[Context, dict[str, ShotTables]] = weakref.WeakKeyDictionary()


def tables_of(plan: ShotPlan, context: Context) -> ShotTables:
    """Return the tables of the shot at hand, the same for all its entries."""
    shots = _known.setdefault(context, {})
    if plan.key not in shots:
        shots[plan.key] = ShotTables(plan, context)
    return shots[plan.key]


class ShotTables:
    """The tables of a shot; each is read when it is first asked for.

    Parameters
    ----------
    plan : ShotPlan
        Its settings ``tables`` name path, kind and entry of the tables among its companions.
    context : Context
    """

    def __init__(self, plan: ShotPlan, context: Context) -> None:
        self._key = plan.key
        self._read = weakref.ref(context)
        self._sources: dict[tuple[str, str], Source] = {}
        entries: Mapping[str, str] = plan.settings.get("tables", {})
        for source in plan.companions:
            self._sources[source.kind, entries.get(source.path, "")] = source

    def _bytes(self, kind: str, entry: str = "") -> tuple[bytes, str] | None:
        source = self._sources.get((kind, entry))
        context = self._read()
        if source is None or context is None:
            return None
        with context.open(source) as file:
            return file.read(), source.path

    def _text(self, kind: str, entry: str = "") -> tuple[str, str] | None:
        found = self._bytes(kind, entry)
        return None if found is None else (found[0].decode("latin-1"), found[1])

    @property
    def sources(self) -> tuple[str, ...]:
        """Paths of all tables."""
        return tuple(source.path for source in self._sources.values())

    @cached_property
    def fplane(self) -> Mapping[str, texts.Slot]:
        """IFUs by slot; {} without a table."""
        found = self._text("fplane")
        return {} if found is None else texts.read_fplane(*found)

    @cached_property
    def _points(self) -> dict[str, TangentPoint]:
        places = [entry for kind, entry in self._sources if kind == "radec2"]
        return {
            entry: texts.read_tangent_point(*found)
            for entry in places
            if (found := self._text("radec2", entry)) is not None
        }

    @cached_property
    def _cut(self) -> dict[str, tuple[str, ...]]:
        """What is said of files of one line that may have lost its last digits, by their name."""
        found: dict[str, tuple[str, ...]] = {}
        for entry in self._points:
            text = self._text("radec2", entry)
            name = f"radec2_{entry or 'final'}"
            if text is not None and not text[0].endswith("\n"):
                found[name] = (f"{name} has no end of line: its last number may be cut",)
        return found

    def tangent_point(self, exposure: int) -> tuple[TangentPoint, str] | None:
        """Return the adopted point of the shot, else that of the exposure, and its name."""
        for entry, name in (
            ("", "radec2_final"),
            (f"exp{exposure:02d}", f"radec2_exp{exposure:02d}"),
        ):
            if entry in self._points:
                return self._points[entry], name
        return None

    @cached_property
    def _tables_of_positions(self) -> list[Mapping[tuple[int, str], texts.AmplifierPlaces]]:
        entries = sorted(entry for kind, entry in self._sources if kind == "dithall")
        found = [self._bytes("dithall", entry) for entry in entries]
        return [texts.read_dithall(*part) for part in found if part is not None]

    def listed(self, exposure: Exposure) -> texts.AmplifierPlaces | None:
        """Return the places of an amplifier's fibres by the shot's table of positions."""
        key = exposure.number, exposure.amplifier.multiframe
        return next((table[key] for table in self._tables_of_positions if key in table), None)

    def conditions(self, exposure: int) -> Conditions:
        """Return what the tables say of an exposure."""
        arrays: dict[str, Array] = {}
        relflux = fwhm = response = float("nan")
        norm = self._text("norm")
        if norm is not None:
            values = texts.read_numbers(norm[0], 3, norm[1])[0]
            arrays["relflux"] = Array(values, "", ("exposure",), "Relative flux of the exposures.")
            relflux = float(values[exposure - 1]) if exposure <= len(values) else relflux
        seeing = self._text("fwhm")
        if seeing is not None:
            found = texts.read_seeing(*seeing).get(self._key)
            if found is not None:
                fwhm = found[0]
                arrays["fwhm"] = Array(
                    np.array(found[:2]), "arcsec", ("value",), "Seeing and its error."
                )
        curve = self._text("throughput")
        if curve is not None:
            values = texts.read_numbers(curve[0], 6, curve[1])
            response = texts.response(values)
            arrays["throughput"] = Array(
                values[:, :4], "", ("wavelength", "column"),
                "Wavelength (Angstrom in air), throughput, its lowest and highest estimate.",
            )  # fmt: skip
        arrays |= self._offsets
        sky = self._text("sky", f"exp{exposure:02d}")
        if sky is not None:
            arrays["sky"] = Array(
                texts.read_numbers(sky[0], 2, sky[1]), "", ("wavelength", "column"),
                "Sky of the whole focal plane: wavelength (Angstrom in air), counts.",
            )  # fmt: skip
        lacking = {"norm.dat": relflux, "fwhm.all": fwhm, "throughput table": response}
        notes = [
            f"no {name} with a value for this exposure"
            for name, number in lacking.items() if not np.isfinite(number)
        ]  # fmt: skip
        notes += [] if sky is not None else ["no table of the sky of the whole focal plane"]
        return Conditions(relflux, fwhm, response, arrays, tuple(notes))

    @cached_property
    def _offsets(self) -> dict[str, Array]:
        arrays = {}
        match = self._text("mch")
        if match is not None:
            arrays["dithers"] = Array(
                texts.read_dithers(*match), "arcsec", ("exposure", "axis"), "Measured dithers."
            )
        rows = []
        for exposure in (1, 2, 3):
            found = self._text("getoff2", f"exp{exposure:02d}")
            rows.append(
                np.full(5, np.nan)
                if found is None
                else texts.read_numbers(found[0], 5, found[1])[0]
            )
        if np.isfinite(rows).any():
            arrays["offsets"] = Array(
                np.array(rows), "", ("exposure", "column"),
                "Offset of the astrometry in x and y, its scatter (arcsec), number of stars.",
            )  # fmt: skip
        return arrays

    # -- positions -----------------------------------------------------------------------------

    def places(self, exposure: Exposure, ifupos: Floats | None, count: int) -> Places:
        """Return where the fibres of an amplifier are.

        By the astrometry where it is there, and compared with the table of positions; else by that
        table; else not known.

        Parameters
        ----------
        exposure : Exposure
        ifupos : float array (n, 2), or None
            Places in the bundle, as the amplifier's file has them, arcsec.
        count : int
            Number of fibres, 1 to `count`.
        """
        listed = self.listed(exposure)
        if ifupos is None and listed is not None:
            ifupos = np.stack([listed.ifux, listed.ifuy], axis=1)[:count]
        found = self._computed(exposure, ifupos)
        if isinstance(found, Places):
            return _compared(found, listed, count)
        if listed is not None:
            inner = ifupos if ifupos is not None else np.full((count, 2), np.nan)
            return Places(
                listed.ra[:count], listed.dec[:count], inner[:, 0].astype(np.float64),
                inner[:, 1].astype(np.float64), listed.fpx[:count], listed.fpy[:count],
                np.full(count, np.nan, np.float32), "positions as in the dithall table",
                (f"positions are those of the dithall table: {found}", *_lacking(listed, count)),
            )  # fmt: skip
        blank = np.full(count, np.nan)
        inner = np.full((count, 2), np.nan) if ifupos is None else ifupos.astype(np.float64)
        return Places(
            blank, blank, inner[:, 0], inner[:, 1], blank, blank, blank.astype(np.float32),
            "positions are not known", (f"no positions: {found}, and no dithall table has them",),
        )  # fmt: skip

    def _computed(self, exposure: Exposure, ifupos: Floats | None) -> Places | str:
        """Return places by the astrometry, or why they cannot be computed."""
        amplifier = exposure.amplifier
        point = self.tangent_point(exposure.number)
        if point is None:
            return "there is no radec2 file"
        slot = self.fplane.get(amplifier.ifuslot)
        if slot is None:
            return f"no fplane.txt with slot {amplifier.ifuslot}"
        if (slot.specid, slot.ifuid) != (amplifier.specid, amplifier.ifuid):
            return (
                f"fplane.txt has spectrograph {slot.specid} and IFU {slot.ifuid} in slot "
                f"{amplifier.ifuslot}, it is of another night"
            )
        if ifupos is None:
            return "the file has no ifupos"
        if exposure.number not in DITHERS:
            return f"the dither of exposure {exposure.number} is not known"
        fpx, fpy = focal_plane(ifupos, (slot.x, slot.y), exposure.number)
        ra, dec = point[0].to_sky(fpx, fpy)
        inner = ifupos.astype(np.float64)
        return Places(
            ra, dec, inner[:, 0], inner[:, 1], fpx, fpy, np.full(len(ra), np.nan, np.float32),
            f"positions in float64 by {point[1]}, fplane, ifupos and the dithers",
            self._cut.get(point[1], ()),
        )  # fmt: skip


def _compared(found: Places, listed: texts.AmplifierPlaces | None, count: int) -> Places:
    if listed is None:
        return replace(
            found, notes=(*found.notes, "positions are not compared: no dithall table has them")
        )
    off = separation(found.ra, found.dec, listed.ra[:count], listed.dec[:count])
    notes = found.notes
    worst = float(np.nanmax(off)) if np.isfinite(off).any() else 0.0
    if worst > AGREES:
        notes += (f"positions differ from the dithall table by up to {worst:.3g} arcsec",)
    return replace(found, table_offset=off.astype(np.float32), notes=notes)


def _lacking(listed: texts.AmplifierPlaces, count: int) -> tuple[str, ...]:
    lost = int(np.count_nonzero(~np.isfinite(listed.ra[:count] + listed.dec[:count])))
    return (f"{lost} fibres have no position there",) if lost else ()
