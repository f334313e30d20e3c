"""Spec files: read as `sdss` does, with the columns of BOSS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from corecube.frames import Fibers
from corecube.shots import Context, ShotPlan
from corecube_boss.columns import of_spec
from corecube_boss.settings import BossConfig
from corecube_sdssfiles.fibers import read_fibers


def read_spec(plan: ShotPlan, entry: str, config: BossConfig, context: Context) -> Iterator[Fibers]:
    """Yield the coadd of one fibre, then those exposures that no camera's frame has.

    Parameters
    ----------
    plan : ShotPlan
        Of a plate.
    entry : str
        The fibre, four digits.
    config : BossConfig
    context : Context

    Raises
    ------
    FileNotUnderstood
        If the file is damaged or of another fibre.
    """
    for fibers in read_fibers(
        plan, entry, context,
        exposures=config.exposures,
        without=plan.settings.get("cameras", ()),
        columns=lambda file: of_spec(file, plan, context),
    ):  # fmt: skip
        # All reductions give heliocentric wavelengths in vacuum; some headers do not say so.
        wave = fibers.wave
        yield replace(
            fibers,
            wave=replace(
                wave, medium=wave.medium or "vacuum", specsys=wave.specsys or "heliocentric"
            ),
        )
