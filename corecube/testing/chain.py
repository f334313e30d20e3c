"""The way of the data through an instrument's hooks, without pipeline and archive."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from corecube.files import digest
from corecube.frames import Frame
from corecube.plugins import Caller
from corecube.shots import Context, FileHead, FileInfo, ShotPlan, Source


@dataclass(frozen=True)
class Stages:
    """One frame on its way; the arrays of each stage are its own.

    Attributes
    ----------
    raw : Image or Fibers
        As read.
    calibrated : Image or Fibers
    noisy : Image or Fibers
        As the noise model gave it.
    done : Image or Fibers
        As it is stored.
    """

    raw: Frame
    calibrated: Frame
    noisy: Frame
    done: Frame

    @property
    def size(self) -> int:
        """Bytes of flux, error and mask of all stages, each counted once."""
        arrays = {
            id(part): part.nbytes
            for frame in (self.raw, self.calibrated, self.noisy, self.done)
            for part in (frame.flux, frame.error, frame.mask)
            if part is not None
        }
        return sum(arrays.values())


@contextmanager
def as_the_core_does(strict: bool = False) -> Iterator[None]:
    """Silence warnings while hooks run, as ingest does; with `strict` they stay what they are."""
    with warnings.catch_warnings():
        if not strict:
            warnings.simplefilter("ignore")
        yield


def identified(caller: Caller, config: Any, path: str) -> Any:
    """Return what the instrument says of a file."""
    return caller.call("identify", file=FileHead.of(path), config=config)


def infos_of(caller: Caller, config: Any, paths: Iterable[str]) -> list[FileInfo]:
    """Return the infos of the files that the instrument takes, in the order given."""
    found = (identified(caller, config, path) for path in paths)
    return [info for info in found if isinstance(info, FileInfo)]


def planned(caller: Caller, config: Any, infos: Sequence[FileInfo]) -> list[ShotPlan]:
    """Return the plans of some files, with the digests of their sources."""
    from corecube.pipeline.planning import default_plans

    best: dict[tuple[str, ...], FileInfo] = {}
    for info in infos:
        own = (info.source.path,) if not info.key else ()
        place = (info.key, info.entry, info.source.kind, *own)
        before = best.get(place)
        if before is None or (-info.rank, info.source.path) < (-before.rank, before.source.path):
            best[place] = info
    chosen = list(best.values())
    if caller.has("plan_shots"):
        plans = list(caller.call("plan_shots", infos=chosen, known={}, config=config))
    else:
        plans = default_plans(chosen)
    return [with_digests(plan) for plan in plans]


def with_digests(plan: ShotPlan) -> ShotPlan:
    """Return a plan whose sources have their digests."""
    known: dict[str, Source] = {
        source.path: replace(source, digest=digest(source.path)) for source in plan.sources
    }
    return plan.map_sources(known)


def stages(
    caller: Caller,
    config: Any,
    plan: ShotPlan,
    entry: str,
    context: Context,
    *,
    keep: bool = True,
    strict: bool = False,
) -> list[Stages]:
    """Read, calibrate and give errors to the frames of an entry.

    Parameters
    ----------
    caller : Caller
    config : dataclass
    plan : ShotPlan
    entry : str
    context : Context
    keep : bool
        Give each hook a copy, so that earlier stages stay as they were.
    strict : bool
        Warnings stay what they are.
    """
    with as_the_core_does(strict):
        read = caller.call(
            "read_frames", plan=plan, entry=entry, config=config, context=context
        )  # fmt: skip
        return [_stages(caller, config, frame, keep) for frame in read or ()]


def _stages(caller: Caller, config: Any, raw: Frame, keep: bool) -> Stages:
    from corecube.pipeline.work import completed

    frames = [raw]
    for hook in ("calibrate", "estimate_noise"):
        frame = frames[-1]
        if caller.has(hook):
            given = copied(frame) if keep else frame
            frame = caller.call(hook, frame=given, config=config) or frame
        frames.append(frame)
    done = completed(copied(frames[-1]) if keep else frames[-1])
    return Stages(raw, frames[1], frames[2], done)


def copied(frame: Frame) -> Frame:
    """Return a frame whose flux, error and mask are copies."""
    return replace(
        frame,
        flux=frame.flux.copy(),
        error=None if frame.error is None else frame.error.copy(),
        mask=None if frame.mask is None else frame.mask.copy(),
    )
