"""A10 to A12: what an archive can still tell when the input files are gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from corecube import config as configuration
from corecube.figures import Figures, Subject
from corecube.frames import Frame
from corecube.masks import MaskSpan
from corecube.photometry.catalogue import CatalogueFlux
from corecube.testing import chain
from corecube.testing.calibrator import factors_of
from corecube.testing.case import Case
from corecube.testing.comparing import differences, stored_block
from corecube.testing.model import DoesNotApply, check


@check(
    "A10", "archive", "without the input files factors and noise check say the same",
    needs=("A0", "F11"),
)  # fmt: skip
def files_are_not_needed(case: Case) -> Iterator[str]:
    """Move the files away and ask the hooks about frames of the archive."""
    hooks = ("calibration_factors", "check_noise", "catalogue")
    if not any(map(case.caller.has, hooks)):
        raise DoesNotApply("the instrument has neither factors nor a check of its noise")
    # the frames as they were when the files were here
    before = [
        (entry, stage.done, _answers(case, stage.done)) for entry, stage in case.all_stages()
    ]  # fmt: skip
    aside = case.inputs.with_name("inputs-aside")
    with case.archived():
        pass  # made while the files are here
    case.inputs.rename(aside)
    try:
        with case.archived() as opened:
            for entry, frame, answers in before:
                identity = f"{case.name}/{entry.plan.key}"
                if identity not in opened.state.catalogue.by_identity:
                    continue
                shot = opened.shot(identity)
                stored: Any = None
                if frame.name in shot.images:
                    stored = shot.frame(frame.name)
                elif frame.name in shot.groups:
                    stored = stored_block(shot, frame)  # type: ignore[arg-type]
                if stored is None or stored.flux.shape != frame.flux.shape:
                    continue
                where = f"{entry.where}: {frame.name}"
                for part in answers.get("catalogue", ()):
                    if not isinstance(part, CatalogueFlux):
                        yield f"{where}: {type(part).__name__} is no CatalogueFlux"
                yield from differences(answers, _answers(case, stored), where)
    finally:
        aside.rename(case.inputs)


def _answers(case: Case, frame: Frame) -> dict[str, Any]:
    found: dict[str, Any] = {"factors": {f.name: f for f in factors_of(case, frame)}}
    if case.caller.has("check_noise"):
        with chain.as_the_core_does():
            found["check"] = case.caller.call("check_noise", frame=frame, config=case.config)
    if case.caller.has("catalogue"):
        with chain.as_the_core_does():
            given = case.caller.call("catalogue", frame=frame, config=case.config) or ()
            found["catalogue"] = tuple(given)
    return found


@check("A11", "archive", "its report is plain JSON and panels, the same without the input files")
def report_is_plain(case: Case) -> Iterator[str]:
    """Ask for the reports of shots, images and fibres, with and without the input files."""
    if not case.caller.has("report"):
        raise DoesNotApply("the instrument has no report of its own")
    first: dict[str, Any] = dict(_reports(case))
    aside = case.inputs.with_name("inputs-aside")
    case.inputs.rename(aside)
    try:
        second = dict(_reports(case))
    finally:
        aside.rename(case.inputs)
    if not any(first.values()):
        yield "nothing is reported of any shot, image or fibre"
    for where, figures in first.items():
        if figures is None:
            continue
        if not isinstance(figures, Figures):
            yield f"{where}: {type(figures).__name__} is no corecube.figures.Figures"
            continue
        try:
            json.dumps(dict(figures.numbers), allow_nan=False)
        except (TypeError, ValueError) as error:
            yield f"{where}: the numbers are no plain JSON: {error}"
        names = [panel.name for panel in figures.panels]
        if len(set(names)) != len(names):
            yield f"{where}: two panels have the same name"
        yield from differences(figures, second[where], where)


def _reports(case: Case) -> Iterator[tuple[str, Figures | None]]:
    with case.archived() as archive:
        for record in archive.state.catalogue.by_identity.values():
            shot = archive.shot(record)
            subjects = [Subject()]
            subjects += [Subject("image", name) for name in shot.images[:1]]
            subjects += [Subject("fiber", g, 0) for g in shot.groups if shot.row_count(g)]
            config: Any = configuration.from_json(case.caller.instrument.config, shot.config)
            for subject in subjects:
                with chain.as_the_core_does():
                    figures = case.caller.call(
                        "report", shot=shot, subject=subject, config=config
                    )  # fmt: skip
                yield f"{record.identity} {subject.kind} {subject.name}".strip(), figures


@check("A12", "archive", "late masks name pixels that are there, and a source for each list")
def late_masks_fit(case: Case) -> Iterator[str]:
    """Ask for the late masks of all shots, twice."""
    if not case.caller.has("late_masks"):
        raise DoesNotApply("the instrument has no late masks")
    with case.archived() as archive:
        for record in archive.state.catalogue.by_identity.values():
            shot = archive.shot(record)
            first, second = (
                list(case.caller.call("late_masks", shot=shot, config=case.config) or ())
                for _ in range(2)
            )
            for span in first:
                yield from _span_fits(record.identity, shot, span)
            if [_span(s) for s in first] != [_span(s) for s in second]:
                yield f"{record.identity}: asked twice it gives other masks"


def _span_fits(where: str, shot: Any, span: MaskSpan) -> Iterator[str]:
    if span.frame in shot.groups:
        rows, width = shot.row_count(span.frame), shot.group(span.frame)["width"]
    elif span.frame in shot.images:
        rows, width = shot.description["images"][span.frame]["shape"]
    else:
        yield f"{where}: a late mask of '{span.frame}', which is not there"
        return
    if span.row.size and (span.row.max() >= rows or span.last.max() >= width):
        yield f"{where}: a late mask of '{span.frame}' beyond its {rows} rows or {width} pixels"
    if not span.source.strip():
        yield f"{where}: a late mask of '{span.frame}' without a source"


def _span(span: MaskSpan) -> tuple[Any, ...]:
    parts = (np.asarray(part).tolist() for part in (span.row, span.first, span.last))
    return (span.frame, span.source, span.plane, *parts)
