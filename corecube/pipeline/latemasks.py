"""Asking instruments for late masks: at ingest, and again where lists have changed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from corecube import config as configuration
from corecube.archive import latemasks, leftovers
from corecube.archive.catalogue import ShotRecord
from corecube.archive.inside import inside
from corecube.archive.latemasks import LateMasks
from corecube.archive.shotfile import StoredShot
from corecube.archive.writer import ArchiveWriter, InstrumentState
from corecube.errors import CorecubeError, FrameError, NoSpace
from corecube.masks import MaskSpan
from corecube.pipeline.report import LATE_MASKS
from corecube.plugins import Caller


@dataclass(frozen=True)
class Remasked:
    """What became of a shot's late masks.

    Attributes
    ----------
    shot : str
        Identity.
    state : {"changed", "unchanged", "failed"}
    reason : str
        Why it failed; the shot then keeps the masks that it had.
    pixels : mapping of str to int
        Pixels that any list names now, by image or group.
    before : mapping of str to int
        The same until now.
    sources : list of dict
        ``frame``, ``source``, ``plane`` and ``pixels`` of each list now.
    """

    shot: str
    state: Literal["changed", "unchanged", "failed"]
    reason: str = ""
    pixels: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)


def remask(
    archive: Path,
    instruments: Mapping[str, tuple[Caller, Any]],
    shots: Collection[str] = (),
    tell: Callable[[Remasked], None] | None = None,
) -> list[Remasked]:
    """Ask instruments again for the late masks of stored shots; store what has changed.

    Nothing else of the shots changes: their files, numbers and the sky index stay. All changes of
    a run are seen by readers at once.

    Parameters
    ----------
    archive : Path
    instruments : mapping of name to (Caller, dataclass)
        With the settings of today, of which the fields with ``changes_numbers=False`` count; the
        others are those that each shot was made with.
    shots : collection of str
        Identities; all shots of these instruments where none is given.
    tell : callable, optional
        Called with what became of each shot; what is "changed" holds when `remask` returns.

    Returns
    -------
    list of Remasked
        By identity.

    Raises
    ------
    ArchiveError
        If the archive is damaged, too new, locked, or the disk is full; then nothing has changed.
    """
    done: list[Remasked] = []
    changed: dict[str, dict[str, Any]] = {}
    with ArchiveWriter(archive) as writer:
        writer.clean(leftovers.GRACE)
        for identity, record in writer.catalogue.by_identity.items():
            if record.instrument not in instruments or (shots and identity not in shots):
                continue
            caller, current = instruments[record.instrument]
            result, masks = _again(archive, record, caller, current)
            if masks is not None:
                changed[identity] = masks
            done.append(result)
            if tell is not None:
                tell(result)
        good = {result.shot for result in done if result.state != "failed"}
        state = {name: _without(part, good) for name, part in writer.state.items()}
        if changed or state != writer.state:
            writer.commit(masks=changed, state=state)
    return done


def _again(
    archive: Path, record: ShotRecord, caller: Caller, current: Any
) -> tuple[Remasked, dict[str, Any] | None]:
    """Ask for the late masks of a shot; the record of the new ones if they have changed."""
    try:
        before = LateMasks()
        if record.masks:
            before = latemasks.read(
                archive / record.masks["file"], record.identity, record.generation
            )
    except CorecubeError:
        before = LateMasks()  # it is damaged: it is made anew
    try:
        with StoredShot(inside(archive, record.file), archive) as shot:
            stored: Any = configuration.from_json(
                caller.instrument.config, shot.config, source=record.file, unknown="ignore"
            )
            late = asked(caller, shot, configuration.with_current(stored, current))
            result = Remasked(
                record.identity,
                "unchanged",
                pixels=late.pixels(),
                before=before.pixels(),
                sources=[
                    {"frame": frame, **source}
                    for frame in dict.fromkeys(span.frame for span in late.spans)
                    for source in late.sources(frame)
                ],
            )
            broken = bool(record.masks) and not before.spans
            same = latemasks.encoded(shot, late) == latemasks.encoded(shot, before)
            if same and not broken:
                return result, None
            return replace(result, state="changed"), latemasks.write(archive, shot, late)
    except (MemoryError, NoSpace):
        raise
    except Exception as error:  # whatever the plugin raises costs this shot
        line = " ".join(str(error).split())
        if isinstance(error, OSError) and error.filename:
            line = f"{error.filename}: {error.strerror}"
        elif not isinstance(error, CorecubeError):
            line = f"{type(error).__name__}: {line}"
        return Remasked(record.identity, "failed", line, before.pixels(), before.pixels()), None


def _without(state: InstrumentState, shots: Collection[str]) -> InstrumentState:
    """Forget that the late masks of these shots failed."""
    failed = {
        code: entry for code, entry in state.failed.items()
        if entry["entry"] != LATE_MASKS or entry["shot"] not in shots
    }  # fmt: skip
    return InstrumentState(state.waiting, failed)


def asked(caller: Caller, shot: StoredShot, config: Any) -> LateMasks:
    """Ask an instrument for the late masks of a shot.

    Parameters
    ----------
    caller : Caller
    shot : StoredShot
        Without late masks.
    config : dataclass

    Raises
    ------
    FrameError
        If they do not lie in the shot's frames.
    Exception
        Whatever the instrument raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spans = list(caller.call("late_masks", shot=shot, config=config) or ())
    for span in spans:
        if not isinstance(span, MaskSpan):
            raise FrameError(f"a late mask is a {type(span).__name__}, not a MaskSpan")
    late = LateMasks.of(spans)
    both = {span.frame for span in late.spans} & set(shot.images) & set(shot.groups)
    if both:
        raise FrameError(f"late mask: '{min(both)}' is an image and a group; rename one")
    latemasks.check(late, latemasks.shapes_of(shot))
    return late
