"""Fingerprints: the same inputs give the same shot, so nothing needs to be done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from corecube.archive.layout import to_text
from corecube.shots import ShotPlan, Source


def basis(data_version: int, config: Mapping[str, Any]) -> str:
    """Return the digest of what all shots of an instrument depend on."""
    return _digest([data_version, config])


def of_entry(plan: ShotPlan, entry: str, based_on: str, needs: Mapping[str, str]) -> str:
    """Return the fingerprint of one entry: of all that its frames are made of.

    Parameters
    ----------
    plan : ShotPlan
        With the digests of its sources.
    entry : str
    based_on : str
        See `basis`.
    needs : mapping of str to str
        Keys of the shots that the plan needs, and their fingerprints as registered.
    """
    return _digest(
        [
            based_on, dict(plan.settings), entry, _contents(plan.entries[entry]),
            sorted(_contents(plan.companions)), sorted(needs.items()),
        ]
    )  # fmt: skip


def of_shot(plan: ShotPlan, entries: Mapping[str, str]) -> str:
    """Return the fingerprint of a shot: of all its entries (`of_entry`), grids, kind and title."""
    grids = {name: list(grid) for name, grid in plan.grids.items()}
    return _digest([plan.key, plan.kind, plan.title, dict(entries), grids])


def _contents(sources: Sequence[Source]) -> list[list[str]]:
    # neither path nor time of change: a file that was moved is the same file
    return [[source.kind, source.digest] for source in sources]


def _digest(data: Any) -> str:
    return hashlib.sha256(to_text(data).encode()).hexdigest()[:32]
