"""What the JSON in a shot file must look like before it is believed; docs/format.md has the fields.

A seal and checksums show that the bytes are those that were written; a stranger writes what he
likes and seals it. Types are compared once, when a file is opened, so that what is handed on, to
tables and terminals too, is what it is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from corecube.archive.jsontext import Each, conform
from corecube.errors import ArchiveDamaged, CorecubeError

_P = ParamSpec("_P")
_T = TypeVar("_T")

_NUMBER: Final = (float, None)
_TEXTS: Final = Each(str)
_PLACE: Final = [int]
_LINK: Final = {
    "shot": str, "generation": int, "frame": str, "field": str, "digest": str,
}  # fmt: skip
_IMAGE: Final = {
    "entry": str, "shape": [int], "unit": str, "band": str, "target": str,
    "cards": (Each((str, float, bool)), None), "footprint": ([[float]], None), "times": list,
    "rows_timed": bool, "levels": int, "bits": Each([str]), "layers": Each((_LINK, None)),
    "calibration": Each((str, _LINK)), "header": _PLACE,
}  # fmt: skip
_COLUMN: Final = {
    "name": str, "dtype": str, "unit": str, "description": str, "missing": (str, float, bool, None),
}  # fmt: skip
_WAVE: Final = {
    "unit": str, "medium": str, "specsys": str, "first?": int, "count?": int, "step?": float,
    "traces?": dict,
}  # fmt: skip
_GROUP: Final = {
    "rows": int, "width": int, "unit": str, "parent": str, "wave": _WAVE, "bits": Each([str]),
    "layers": [str], "columns": [_COLUMN], "images?": [str],
}  # fmt: skip
_ARRAY: Final = {
    "shape": [int], "dtype": str, "unit?": str, "axes?": [str], "description?": str,
    "scalar?": bool, "checksums?": _PLACE,
}  # fmt: skip
_DESCRIPTION: Final = {
    "instrument": str, "key": str, "title": str, "kind": str, "generation": int, "created": str,
    "fingerprint": str, "basis": str, "entries": _TEXTS, "needs?": _TEXTS, "raw_bytes": int,
    "images": Each(_IMAGE), "groups": Each(_GROUP), "links?": [_LINK], "arrays": Each(_ARRAY),
}  # fmt: skip

_LINES: Final = {
    "sources?": [str], "parents?": [str], "steps?": [str], "not_modelled?": [str], "notes?": [str],
}  # fmt: skip
_BLOCK: Final = {
    "entry": str, "rows": [int], "provenance": _LINES, "calibration": Each((str, _LINK)),
    "header": _PLACE, "quality": str,
}  # fmt: skip
_SOURCE: Final = {"path": str, "size": int, "mtime_ns": int, "kind": str, "digest": str}
INFO: Final = {
    "source": _SOURCE, "key": str, "entry": str, "rank": float, "observation": str, "facts": dict,
}  # fmt: skip
"""What an instrument said of a file, in logs and shot files."""

_PLAN: Final = {
    "key": str, "title": str, "kind": str, "entries": Each([_SOURCE]), "companions": [_SOURCE],
    "needs?": [str], "grids": Each([int]), "settings": dict,
}  # fmt: skip
_HISTORY: Final = {
    "plan": _PLAN, "config": dict, "infos": [INFO], "images": Each(_LINES),
    "blocks": Each([_BLOCK]),
}  # fmt: skip

_DTYPE: Final = re.compile(r"text|bool|u?int(8|16|32|64)|float(16|32|64)")


def check_description(data: Any) -> None:
    """Refuse a description that corecube does not write.

    Raises
    ------
    ValueError
    """
    conform(data, _DESCRIPTION, "its description")
    for path, array in data["arrays"].items():
        if not _DTYPE.fullmatch(array["dtype"]):
            raise ValueError(f"{path} has the type '{array['dtype'][:40]}'")
        if min(array["shape"], default=0) < 0 or len(array["shape"]) > _AXES:
            raise ValueError(f"{path} has no possible shape")
        place = array.get("checksums", (0, 0))
        if len(place) != 2 or min(place) < 0:
            raise ValueError(f"{path} has no place among the checksums")
    for name, image in data["images"].items():
        if len(image["shape"]) != 2 or min(image["shape"]) < 1 or len(image["times"]) != 3:
            raise ValueError(f"image {name} has no possible shape or times")
        conform(image["times"][:2], [_NUMBER], f"the time of image {name}")
        conform(image["times"][2], str, f"the time of image {name}")
        if not 0 <= image["levels"] < _LEVELS:
            raise ValueError(f"image {name} has no possible number of levels")
        for plane in ("flux", "error", "mask"):
            array = data["arrays"].get(f"/images/{name}/{plane}")
            if array is not None and array["shape"] != image["shape"]:
                raise ValueError(f"{plane} of image {name} has another shape than the image")
    for name, group in data["groups"].items():
        if min(group["rows"], group["width"]) < 0:
            raise ValueError(f"group {name} has a negative number of rows or pixels")
        for part in _OF_FIBERS:
            array = data["arrays"].get(f"/fibers/{name}/{part}")
            if array is not None and array["shape"][:1] != [group["rows"]]:
                raise ValueError(f"{part} of group {name} has another number of rows")


_OF_FIBERS: Final = (
    "flux", "error", "mask", "id", "target", "ra", "dec", "start", "end", "quality", "parent_id",
)  # fmt: skip


def check_history(data: Any, description: Any) -> None:
    """Refuse plan, infos and provenance that corecube does not write, or not to this description.

    Raises
    ------
    ValueError
    """
    conform(data, _HISTORY, "it")
    if not (
        data["images"].keys() >= description["images"].keys()
        and data["blocks"].keys() >= description["groups"].keys()
    ):
        raise ValueError("it does not know all images and groups")
    for blocks in data["blocks"].values():
        if any(len(block["rows"]) != 2 or len(block["header"]) != 2 for block in blocks):
            raise ValueError("a block has no place")


_AXES: Final = 8
"""Axes of an array; ours have three at most."""

_LEVELS: Final = 32
"""Levels of a pyramid; 2**31 pixels have 24."""


def as_written(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn what goes wrong with a file that a stranger has described at will into our error.

    The bytes are those that somebody sealed; what they say may fit together in no way that we
    write, and there are too many ways to look for all of them before.

    Parameters
    ----------
    method : callable
        Of an object that has a `path`.

    Returns
    -------
    callable
        Raises ArchiveDamaged instead of errors of Python.
    """

    @wraps(method)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except CorecubeError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            path = args[0].path  # type: ignore[attr-defined]  # self, of any class with a path
            raise ArchiveDamaged(
                f"{path}: is not as corecube writes it ({type(error).__name__} in "
                f"{method.__name__}); find out more with 'corecube verify'"
            ) from error

    return guarded
