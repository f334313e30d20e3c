"""Units: what is taken, what is refused, and the factors between them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from astropy import units as astrounits

from corecube.errors import UnitError
from corecube.units import _KNOWN, FLUX_DENSITY, check, factor


@pytest.mark.parametrize("unit", sorted(_KNOWN))
def test_astropy_knows_what_is_not_looked_up(unit: str) -> None:
    assert check(unit) == unit
    parsed = astrounits.Unit(unit)
    assert parsed.to_string() == unit or astrounits.Unit(parsed.to_string()) == parsed


@pytest.mark.parametrize("unit", ["Jy", "km / s", "erg / (s cm2 Angstrom)", "um", "mag(AB)", "%"])
def test_any_unit_of_astropy_is_taken_as_it_is_written(unit: str) -> None:
    assert check(unit) == unit


@pytest.mark.parametrize("unit", ["nonsense", "counts", "m**", "1e-17 ergs", "10^-17 foo", "["])
def test_what_is_no_unit_is_refused_with_an_example(unit: str) -> None:
    with pytest.raises(UnitError, match="is no unit that astropy knows; write it like") as caught:
        check(unit)
    assert f"'{unit}'" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("unit", [None, 1.0, b"adu", astrounits.adu])
def test_a_unit_is_text(unit: Any) -> None:
    with pytest.raises(UnitError, match="a unit must be text, not"):
        check(unit)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Angstrom", "nm", 0.1),
        ("deg", "arcsec", 3600),
        ("d", "s", 86400),
        ("nanomaggy", "maggy", 1e-9),
        ("electron / adu", "electron / adu", 1),
        (FLUX_DENSITY, "erg / (s cm2 Angstrom)", 1e-17),
        (FLUX_DENSITY, "W / (m2 um)", 1e-16),  # 1e-7 J, 1e4 per m2, 1e4 per um: 1e-17 * 1e1
    ],
)
def test_factors_between_units(old: str, new: str, expected: float) -> None:
    assert factor(old, new) == pytest.approx(expected, rel=1e-14)
    assert factor(new, old) == pytest.approx(1 / expected, rel=1e-14)


@pytest.mark.parametrize(
    ("old", "new"),
    [("nm", "s"), ("mag", "nanomaggy"), ("nm", "Hz"), ("", "adu"), ("adu", "electron")],
)
def test_what_measures_other_things_is_not_converted(old: str, new: str) -> None:
    with pytest.raises(UnitError, match=f"in '{old}' cannot be converted to '{new}'"):
        factor(old, new)


@pytest.mark.parametrize(
    ("old", "new"), [("mag(AB)", "Jy"), ("Jy", "mag(AB)"), ("dex(cm/s2)", "m/s2")]
)
def test_a_logarithm_has_no_factor(old: str, new: str) -> None:
    with pytest.raises(UnitError, match="cannot be converted"):
        factor(old, new)


@pytest.mark.parametrize(("old", "new"), [("nonsense", "nonsense"), ("x y", "m"), ("m", "x y")])
def test_there_is_no_factor_without_units(old: str, new: str) -> None:
    with pytest.raises(UnitError, match="is no unit"):
        factor(old, new)


def test_common_units_need_no_astropy() -> None:
    code = (
        "import sys\nfrom corecube.units import _KNOWN, check, factor\n"
        "for unit in _KNOWN: check(unit); factor(unit, unit)\n"
        "assert 'astropy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
