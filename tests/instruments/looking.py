"""Look at an archive as the browser's thread does: tree, tables, details, spectra and images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import corecube
from corecube.errors import CorecubeError


def steps(archive: Any, most: int = 60) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what there is to look at, by name; nothing is read before it is called."""
    from corecube_cli.browse import contents, facts, images, questions, rowsources, spectra
    from corecube_cli.browse.places import Fiber, Group, Picture, Pictures, Place, Spectra

    first = contents.overview(archive)
    yield "overview", lambda: [entry.label for entry in first.entries]
    waiting: list[Place] = [entry.place for entry in first.entries]
    for _ in range(most):
        if not waiting:
            break
        place = waiting.pop(0)
        try:
            below = contents.children(archive, place)
        except CorecubeError:
            below = []
        waiting += [entry.place for entry in below]
        yield f"facts {place}", partial(facts.facts_of, archive, place)
        if isinstance(place, Group | Spectra | Pictures):
            yield f"rows {place}", partial(_rows, rowsources, archive, place)
        if isinstance(place, Group):
            yield f"spectrum {place}", partial(_spectrum, spectra, archive, place, Fiber)
        if isinstance(place, Picture):
            yield f"image {place}", partial(_image, images, archive, place)
            yield f"facts of {place}", partial(facts.image_facts, archive, place)
    for text in ("10 20", "name:x", "toy/field/1", "f"):
        yield f"question {text}", partial(questions.ask, archive, text, "0.3 deg")


def _rows(rowsources: Any, archive: Any, place: Any) -> Any:
    source = rowsources.open_rows(archive, place)
    return source.title, source.heads, source.read(archive, 0, min(source.count, 50))


def _spectrum(spectra: Any, archive: Any, place: Any, fiber: Any) -> Any:
    found = spectra.read_spectrum(archive, fiber(place.shot, place.name, 0))
    return found.name, spectra.spectrum_facts(archive, found), found.frame.flux


def _image(images: Any, archive: Any, place: Any) -> Any:
    facts = images.read_facts(archive, place)
    tile = images.read_tile(archive, facts, 0, 0)
    # its level 1 where there is one
    region = images.read_region(archive, facts, 1, (0, 1), (0, 1))
    return facts.name, images.compass(facts), tile.readout(0, 0), tile.flags(0, 0), region.values


def look(path: Path) -> dict[str, Any]:
    """Return all that can be looked at, by name; errors of ours in their place.

    Anything else that is raised passes.
    """
    found: dict[str, Any] = {}
    try:
        with corecube.open(path) as archive:
            for name, see in steps(archive):
                try:
                    found[name] = see()
                except CorecubeError as error:
                    found[name] = error
    except CorecubeError as error:
        found["open"] = error
    return found
