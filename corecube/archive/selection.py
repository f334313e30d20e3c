"""What to take of that which lies in a region, and which instruments' columns it names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from corecube.archive.answer import FIBER_COLUMNS, IMAGE_COLUMNS, TEXT_COLUMNS
from corecube.errors import QueryError
from corecube.tabular import Field
from corecube.times import parse_range

if TYPE_CHECKING:
    from corecube.archive.grammar import Condition
    from corecube.archive.reader import State


@dataclass(frozen=True)
class Select:
    """What to take of that which lies in a region.

    Attributes
    ----------
    where : Condition or None
        A filter on columns; rows for which it is not surely true are left out.
    time : (float, float) or None
        MJD TAI; what has no known time, or none in this range, is left out.
    bands, instruments : tuple of str
        Empty: all. Bands select images; fibres have none.
    exposures : bool
        Also the groups that have a parent: single exposures, native pixels.
    columns : tuple of str
        Instruments' columns to add, as ``z`` or ``sdss.z``.
    size : int or None
        Images that a cutout of so many pixels touches are taken too.
    """

    where: Condition | None = None
    time: tuple[float, float] | None = None
    bands: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    exposures: bool = False
    columns: tuple[str, ...] = ()
    size: int | None = None

    @classmethod
    def of(
        cls,
        where: str | None = None,
        time: str | tuple[float, float] | None = None,
        bands: Iterable[str] = (),
        instruments: Iterable[str] = (),
        exposures: bool = False,
        columns: Iterable[str] = (),
        size: int | None = None,
    ) -> Select:
        """Return what texts mean.

        Raises
        ------
        QueryError
        """
        if size is not None and not 1 <= size <= 20000:
            raise QueryError(f"a cutout of {size} pixels is not possible; use 1 to 20000")
        condition = None
        if where:
            from corecube.archive.grammar import parse  # few ask for it, and a query is short

            condition = parse(where)
        return cls(
            condition,
            parse_range(time) if isinstance(time, str) else time,
            tuple(bands), tuple(instruments), exposures, tuple(columns), size,
        )  # fmt: skip

    @property
    def reads_rows(self) -> bool:
        """Whether shot files must be read to know which fibres match."""
        return self.where is not None or self.time is not None

    def in_time(self, start: Any, end: Any) -> npt.NDArray[np.bool_]:
        """Return which spans touch the time asked for; unknown ones do not."""
        first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
        if self.time is None:
            return np.ones(first.shape, dtype=bool)
        with np.errstate(invalid="ignore"):
            touched: npt.NDArray[np.bool_] = (first <= self.time[1]) & (last >= self.time[0])
        return touched


class ColumnNames:
    """Which instruments have which columns, and what a user's name for one means."""

    def __init__(self, state: State, select: Select) -> None:
        self._known = state.columns
        self._core = FIBER_COLUMNS.keys() | IMAGE_COLUMNS.keys()
        self._asked = select.columns
        names = (*select.columns, *(select.where.names if select.where is not None else ()))
        for name in names:
            self._check(name)

    def _check(self, name: str) -> None:
        """Refuse a name that nothing has, or that means different things."""
        instrument, dot, column = name.rpartition(".")
        if not dot:
            if name in self._core:
                return
            kinds = {i: known[name] for i, known in self._known.items() if name in known}
            if not kinds and self._known:
                raise QueryError(self._unknown(name))
            if len(set(kinds.values())) > 1:
                ways = " or ".join(f"{i}.{name}" for i in sorted(kinds))
                raise QueryError(f"'{name}' means different things; write {ways}")
        elif instrument not in self._known or column not in self._known[instrument]:
            raise QueryError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        from difflib import get_close_matches

        there = sorted({c for known in self._known.values() for c in known} | self._core)
        near = get_close_matches(name.rpartition(".")[2], there, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(there)}"
        return f"there is no column '{name}' in this archive; {hint}"

    def shown(self, instrument: str) -> Iterable[tuple[str, str]]:
        """Yield the columns asked for: name in the table, and the instrument's own name."""
        for asked in self._asked:
            if asked not in self._core:
                name = self.resolve(asked, instrument)
                yield asked, name if name is not None else asked

    def resolve(self, asked: str, instrument: str) -> str | None:
        """Return the instrument's own name of a column, None if it is another's."""
        owner, dot, name = asked.rpartition(".")
        if dot and owner != instrument:
            return None
        return name

    def missing(self, asked: str, count: int) -> Field:
        """Return a column of nothing, of the type that those who have it give it."""
        owner, _, name = asked.rpartition(".")
        kinds = [k[name] for i, k in self._known.items() if name in k and owner in ("", i)]
        dtype, unit = kinds[0] if kinds else ("text" if name in TEXT_COLUMNS else "float64", "")
        values = np.zeros(count, dtype="U1" if dtype == "text" else dtype)
        return Field(values, unit, "", np.ones(count, dtype=bool))
