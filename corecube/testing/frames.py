"""F0, F3 to F6, F11, F14, F15: what is in the frames."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from corecube import masks
from corecube.errors import CorecubeError, FrameError, UnitError
from corecube.files import read_unpacked
from corecube.frames import Array, Fibers, Frame, Image
from corecube.testing import chain
from corecube.testing.case import Case, Entry
from corecube.testing.comparing import differences, texts_of
from corecube.testing.model import READ, check
from corecube.testing.runner import told
from corecube.units import check as check_unit

_CORE_BITS: Final = reduce(int.__or__, (1 << plane.bit for plane in masks.PLANES))

_WORDS: Final = (
    ("wavelength", "F8"), ("trace", "F8"), ("bits", "F6"), ("planes", "F6"), ("mask plane", "F6"),
    ("same name", "F6"), (" ids", "F9"), ("fibre id", "F9"), ("times", "F10"),
    ("footprint", "F7"),
)  # fmt: skip
"""Words in the messages of frames that refuse to be made, and the check that says it."""


def refusals(case: Case) -> Iterator[tuple[str, str]]:
    """Yield what goes wrong while the sample is read: the id of a check, and a line."""
    for entry in case.sample:
        try:
            case.stages(entry)
        except Exception as error:
            yield _check_of(error), f"{entry.where}: {told(error)}"


def _check_of(error: Exception) -> str:
    """Return the id of the check that is about what a frame was refused for."""
    if isinstance(error, UnitError):
        return "F4"
    if isinstance(error, FrameError):
        return next((name for word, name in _WORDS if word in str(error)), "F3")
    return "F0"


def refused(case: Case, name: str) -> Iterator[str]:
    """Yield the refusals that one check is about."""
    return (line for found, line in refusals(case) if found == name)


@check("F0", "frame", "every file can be read, calibrated and given errors")
def can_be_read(case: Case) -> Iterator[str]:
    """Send the sample through the hooks."""
    yield from refused(case, "F0")
    for entry in case.sample:
        try:
            read = case.stages(entry)
        except Exception:  # said above, or by another check
            continue
        if not read:
            yield f"{entry.where}: no frame comes out of it"


@check("F3", "frame", "shapes and types agree, native byte order, C order")
def shapes_agree(case: Case) -> Iterator[str]:
    """Look at all arrays; frames themselves refuse what does not fit at all."""
    yield from refused(case, "F3")
    for entry, stage in case.all_stages():
        where = f"{entry.where}: {stage.done.name}"
        shapes = {part.flux.shape for part in (stage.calibrated, stage.noisy, stage.done)}
        if len(shapes) > 1:
            yield f"{where}: the noise model changes the shape of the flux"
        said = set()
        for frame in (stage.raw, stage.calibrated, stage.noisy):
            for name, part in _arrays(frame):
                if not part.dtype.isnative:
                    said.add(f"{where}: {name} is not in the byte order of this machine")
                if part.ndim > 1 and not part.flags.c_contiguous:
                    said.add(f"{where}: {name} is not in C order; use numpy.ascontiguousarray")
        yield from sorted(said)
        for name, layer in stage.done.layers.items():
            yield from _axes_agree(f"{where}: layer '{name}'", layer, stage.done)


def _arrays(frame: Frame) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    for name in ("flux", "error", "mask"):
        if getattr(frame, name) is not None:
            yield name, getattr(frame, name)
    for name, bits in frame.bits.items():
        yield f"bits '{name}'", bits.values
    for name, layer in frame.layers.items():
        yield f"layer '{name}'", layer.values


def _axes_agree(where: str, layer: Array, frame: Frame) -> Iterator[str]:
    names = ("y", "x") if isinstance(frame, Image) else ("fiber", "wave")
    sizes = dict(zip(names, frame.flux.shape, strict=True))
    for axis, size in zip(layer.axes, layer.values.shape, strict=False):
        if sizes.get(axis, size) != size:
            yield f"{where} has {size} along '{axis}', the flux has {sizes[axis]}"


@check("F4", "frame", "units can be read, and are the same in all blocks of a group")
def units_are_known(case: Case) -> Iterator[str]:
    """Read all units, also those of layers and calibration arrays."""
    yield from refused(case, "F4")
    groups: dict[tuple[str, str], str] = {}
    for entry, stage in case.all_stages():
        frame = stage.done
        for array in (*frame.layers.values(), *frame.calibration.values()):
            check_unit(array.unit)
        if isinstance(frame, Fibers):
            unit = groups.setdefault((entry.plan.key, frame.name), frame.unit)
            if unit != frame.unit:
                yield f"{entry.where}: group '{frame.name}' is in '{unit}' and in '{frame.unit}'"


@check("F5", "frame", "where the mask says so, flux and error are numbers; no error is negative")
def valid_is_finite(case: Case) -> Iterator[str]:
    """Look at the pixels without an excluding plane."""
    no_error = np.uint32(masks.value("no_error"))
    for entry, stage in case.all_stages():
        where = f"{entry.where}: {stage.done.name}"
        done = stage.done
        assert done.mask is not None and done.error is not None
        good = masks.valid(done.mask)
        if not np.isfinite(done.flux[good]).all():
            yield f"{where}: flux that is not finite in pixels that are not masked"
        known = done.error[good & ((done.mask & no_error) == 0)]
        if not (np.isfinite(known).all() and (known > 0).all()):
            yield f"{where}: errors that are no positive numbers in pixels without 'no_error'"
        given = stage.noisy.error
        if given is not None and np.any(given[good] < 0):
            yield (
                f"{where}: the noise model gives {np.count_nonzero(given[good] < 0)} negative "
                "errors in pixels that are not masked"
            )


@check("F6", "frame", "every bit that is set has a name, and one name is one bit")
def bits_are_named(case: Case) -> Iterator[str]:
    """Look at the core's planes and at the file's own bits."""
    yield from refused(case, "F6")
    for where, frame in case.frames():
        assert frame.mask is not None
        unknown = int(np.bitwise_or.reduce(frame.mask, axis=None)) & ~_CORE_BITS
        if frame.mask.size and unknown:
            yield f"{where}: the mask has bit {unknown.bit_length() - 1}, which is no plane"
        for name, bits in frame.bits.items():
            if not bits.values.size:
                continue
            beyond = int(np.bitwise_or.reduce(bits.values, axis=None)) >> len(bits.planes)
            if beyond:
                bit = len(bits.planes) + beyond.bit_length() - 1
                yield f"{where}: bits '{name}': bit {bit} is set and not in the list of planes"


@check("F11", "frame", "reading twice gives the same, bit for bit", needs=READ)
def is_deterministic(case: Case) -> Iterator[str]:
    """Read the sample again."""
    for entry in case.sample:
        first, second = case.stages(entry), case.read(entry, keep=False)
        if len(first) != len(second):
            yield f"{entry.where}: {len(first)} frames, and then {len(second)}"
        for one, two in zip(first, second, strict=False):
            yield from differences(one.done, two.done, f"{entry.where}: {one.done.name}")


@check("F14", "frame", "its provenance names the sources; the shot has their digests and settings")
def provenance_is_there(case: Case) -> Iterator[str]:
    """Look at the frames as read, and at what the archive has of their shots."""
    for entry, stage in case.all_stages():
        sources = (*entry.plan.entries[entry.name], *entry.plan.companions)
        known = {PurePath(source.path).name for source in sources}
        if known.isdisjoint(PurePath(name).name for name in stage.done.provenance.sources):
            yield f"{entry.where}: {stage.done.name}: the provenance names no file of this entry"
    with case.archived() as archive:
        for record in archive.state.catalogue.by_identity.values():
            shot = archive.shot(record)
            if not all(source.digest for source in shot.plan.sources):
                yield f"{record.identity}: a source has no digest"
            for name in ("plugin", "data_version"):
                if not shot.description.get(name):
                    yield f"{record.identity}: its description has no {name}"


@check(
    "F15", "frame", "all texts can be stored; strange characters in headers survive or are named"
)
def texts_survive(case: Case) -> Iterator[str]:
    """Look at the texts, then put ESC, a bracket and 0xff into a header and read it again."""
    for where, frame in case.frames():
        for place, text in texts_of(frame):
            try:
                text.encode()
            except UnicodeEncodeError:
                yield f"{where}: the text in {place} cannot be stored as UTF-8"
    seen: set[str] = set()
    for entry in case.sample:
        source = entry.plan.entries[entry.name][0]
        if source.kind not in seen:
            seen.add(source.kind)
            yield from _strange_header(case, entry, source.path)


def _strange_header(case: Case, entry: Entry, path: str) -> Iterator[str]:
    data = bytearray(read_unpacked(path))
    place = _room(bytes(data[:28800]))
    if place is None:
        return
    data[place : place + 6] = b"\x1b[/]\xff."
    folder = case.new_folder("header")
    files = [str(folder / Path(p).relative_to(case.inputs)) for p in case.files]
    for old, new in zip(case.files, files, strict=True):
        Path(new).parent.mkdir(parents=True, exist_ok=True)
        if old == path:
            Path(new).write_bytes(data)
        else:
            Path(new).hardlink_to(old)
    try:
        plans = chain.planned(
            case.caller, case.config, chain.infos_of(case.caller, case.config, files)
        )
        plan = next(p for p in plans if p.key == entry.plan.key and entry.name in p.entries)
        read = case.read(Entry(plan, entry.name))
    except CorecubeError:
        return  # it says what it does not like
    except Exception as error:
        yield f"{entry.where}: strange characters in its header: {told(error)}"
        return
    for stage in read:
        try:
            stage.done.header.encode()
        except UnicodeEncodeError:
            yield f"{entry.where}: a header with 0xff cannot be stored as UTF-8"


def _room(head: bytes) -> int | None:
    """Return the place of six blanks at the end of a comment in a FITS header."""
    if not head.startswith(b"SIMPLE  ="):
        return None
    for first in range(0, len(head) - 80, 80):
        card = head[first : first + 80]
        if card.startswith(b"END     "):
            return None
        comment = card.startswith((b"COMMENT ", b"HISTORY ")) or b" / " in card
        if comment and card.endswith(b"      "):
            return first + 74
    return None
