"""Where a frame comes from, as plain JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Provenance:
    """What a frame was made of and how.

    Attributes
    ----------
    sources : tuple of str
        Names of the input files; the shot's list of sources has their sizes and digests.
    parents : tuple of str
        Frames that this one was made from.
    steps : tuple of str
        What was done, in order, one short sentence each.
    not_modelled : tuple of str
        Contributions to the error that are left out.
    notes : tuple of str
        What a user should know before using the values (a doubtful gain, NaN in the input).
    """

    sources: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def add(
        self,
        *steps: str,
        not_modelled: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Provenance:
        """Return a copy with more steps, omissions and notes at the end."""
        return replace(
            self,
            steps=self.steps + steps,
            not_modelled=self.not_modelled + not_modelled,
            notes=self.notes + notes,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; empty parts are left out."""
        return {name: list(part) for name, part in vars(self).items() if part}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Provenance:
        """Return what `to_json` was given."""
        return cls(**{name: tuple(part) for name, part in data.items()})
