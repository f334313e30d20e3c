"""Archives of the profile ``small`` give back what plain ones do, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corecube
from corecube.archive.about import profile_of
from corecube.archive.cutout import cut
from corecube.archive.repair import repair
from corecube.archive.shotfile import StoredShot
from corecube.archive.verify import verify
from corecube.archive.writer import create
from corecube.errors import ArchiveDamaged, ArchiveTooNew
from corecube.frames import Array, Image, Link, digest_of
from corecube.masks import MaskSpan
from corecube.recipes import Recipe
from corecube.testing.comparing import differences

INPUTS = ("scale", "sky", "sky_x", "sky_y", "gain", "dark_variance")
RECIPE = Recipe("counts 1", {name: name for name in INPUTS})
SHAPE = (300, 530)
CARDS: dict[str, float | int | str] = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
    "CRPIX1": 250.0, "CRPIX2": 150.0, "CRVAL1": 10.0, "CRVAL2": 20.0,
    "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
}  # fmt: skip


def counted(name: str, masked: bool = True) -> Image:
    """An image whose error follows from its flux, with pixels without an error."""
    rng = np.random.default_rng(len(name))
    calibration = {
        "scale": Array(rng.uniform(0.002, 0.006, SHAPE[1]).astype("f4"), "", ("x",)),
        "sky": Array(rng.uniform(20, 200, (39, 68)).astype("f4")),
        "sky_x": Array(((np.arange(SHAPE[1]) - 3.5) / 8).astype("f4"), "", ("x",)),
        "sky_y": Array(((np.arange(SHAPE[0]) + 4.5) / 8).astype("f4"), "", ("y",)),
        "gain": Array(np.array(4.72)),
        "dark_variance": Array(np.array(1.3225)),
    }
    flux = rng.normal(0, 0.1, SHAPE).astype("f4")
    if masked:
        flux[10:12, 100:140] = np.nan
        flux[200, 7] = -9
    arrays = {key: array.values for key, array in calibration.items()}
    error = RECIPE.apply(flux, arrays, (0, SHAPE[0]), (0, SHAPE[1]))
    mask = np.zeros(SHAPE, "u4")
    mask[np.isnan(flux)] = 1
    mask[np.isnan(error)] |= 1 << 4
    return Image(
        name=name, flux=flux, unit="nanomaggy", error=error, mask=mask, cards=CARDS,
        calibration=calibration, recipe=RECIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, store_in: Callable[..., Any]
) -> tuple[Path, Path]:
    """A plain archive and a small one of the same frames."""
    wrong = counted("wrong")
    assert wrong.error is not None
    wrong.error.view("u4")[17, 33] ^= 1  # the recipe does not give this bit
    without = replace(counted("without"), recipe=None)
    frames = [counted("r"), counted("clean", masked=False), wrong, without]
    rows = np.array([3, 200, 299], "i4")
    spans = [MaskSpan("r", "list", rows, np.array([5, 100, 0], "i4"), np.array([9, 529, 3], "i4"))]
    made = []
    for profile in ("plain", "small"):
        path = tmp_path_factory.mktemp(profile) / "a.corecube"
        create(path, profile)
        store_in(path, "night/1", frames, spans=spans)
        store_in(path, "night/2", frames)
        made.append(path)
    return made[0], made[1]


@pytest.fixture(scope="module")
def shots(pair: tuple[Path, Path]) -> Any:
    with corecube.open(pair[0]) as plain, corecube.open(pair[1]) as small:
        yield plain.shot("lab/night/1"), small.shot("lab/night/1")


def bits(values: Any) -> Any:
    return np.ascontiguousarray(values).view(np.uint32)


def test_what_can_be_made_is_not_stored(shots: tuple[StoredShot, StoredShot]) -> None:
    plain, small = (shot.description["arrays"] for shot in shots)
    errors = {
        name for name in ("r", "clean", "wrong", "without") if f"/images/{name}/error" in small
    }
    assert errors == {"wrong", "without"}
    assert not [name for name in small if "/pyramid/" in name]
    assert [name for name in plain if "/pyramid/" in name]
    missing = {name for name in plain if name not in small and "/pyramid/" not in name}
    assert missing == {"/images/r/error", "/images/clean/error"}
    assert shots[1].description["profile"] == "small"


def test_frames_are_the_same(shots: tuple[StoredShot, StoredShot]) -> None:
    plain, small = shots
    for name in ("r", "clean", "without"):
        one, two = plain.frame(name), small.frame(name)
        assert not list(differences(one, two))
        assert np.array_equal(bits(one.error), bits(two.error))
    assert small.frame("r").recipe == RECIPE
    # what is not true is not kept
    one, two = plain.frame("wrong"), small.frame("wrong")
    assert np.array_equal(bits(one.error), bits(two.error))
    assert two.recipe is None


spans = st.tuples(*[st.integers(0, SHAPE[0])] * 2, *[st.integers(0, SHAPE[1])] * 2)


@settings(max_examples=25)
@given(part=spans, name=st.sampled_from(["r", "clean", "wrong"]))
def test_parts_are_the_same(
    shots: tuple[StoredShot, StoredShot], part: tuple[int, ...], name: str
) -> None:
    rows, columns = (min(part[:2]), max(part[:2])), (min(part[2:]), max(part[2:]))
    one, two = (shot.part(name, rows, columns) for shot in shots)
    assert np.array_equal(bits(one.error), bits(two.error))
    assert np.array_equal(bits(one.error), bits(shots[1].error(name, rows, columns)))
    assert one.mask is not None and two.mask is not None
    assert np.array_equal(one.mask, two.mask)


@settings(max_examples=25)
@given(part=spans, level=st.sampled_from([1, 2]), name=st.sampled_from(["r", "clean", "wrong"]))
def test_levels_are_the_same_late_masks_included(
    shots: tuple[StoredShot, StoredShot], part: tuple[int, ...], level: int, name: str
) -> None:
    ends = [min(number >> level, (n >> level) - 1) for number, n in zip(
        part, (SHAPE[0], SHAPE[0], SHAPE[1], SHAPE[1]), strict=True)]  # fmt: skip
    rows = min(ends[:2]), max(ends[:2]) + 1
    columns = min(ends[2:]), max(ends[2:]) + 1
    for where in ((rows, columns), (None, None)):
        one, two = (shot.level(name, level, *where) for shot in shots)
        assert not list(differences(one, two))
        assert np.array_equal(bits(one.flux), bits(two.flux))
        assert np.array_equal(bits(one.error), bits(two.error))


def test_levels_in_stripes_are_the_same(
    shots: tuple[StoredShot, StoredShot], monkeypatch: pytest.MonkeyPatch
) -> None:
    from corecube.archive import levels

    monkeypatch.setattr(levels, "_PIXELS", 4000)
    for level in (1, 2):
        one, two = (shot.level("r", level) for shot in shots)
        assert not list(differences(one, two))


def test_cutouts_and_links_are_the_same(
    pair: tuple[Path, Path], shots: tuple[StoredShot, StoredShot]
) -> None:
    one, two = (cut(shot, "r", 10.024, 20.014, 64)[0] for shot in shots)  # beyond the edge
    assert not list(differences(one, two))
    assert two.recipe is None and np.isnan(two.error).any()  # type: ignore[arg-type]
    fields = [shot.linked("r", "error") for shot in shots]
    assert fields[0].link == fields[1].link
    assert isinstance(fields[0].link, Link)
    assert digest_of(fields[1]) == fields[0].link.digest


def test_a_cutout_reads_and_computes_the_cutout_alone(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with corecube.open(pair[1]) as opened:
        shot = opened.shot("lab/night/2")
        read: list[tuple[str, tuple[int, ...]]] = []
        original = StoredShot.read

        def spy(self: StoredShot, path: str, key: Any = Ellipsis) -> Any:
            values = original(self, path, key)
            read.append((path, values.shape))
            return values

        computed: list[tuple[int, ...]] = []
        apply = Recipe.apply

        def watch(self: Recipe, flux: Any, *rest: Any) -> Any:
            computed.append(flux.shape)
            return apply(self, flux, *rest)

        monkeypatch.setattr(StoredShot, "read", spy)
        monkeypatch.setattr(Recipe, "apply", watch)
        shot.error("r", (30, 94), (40, 104))
        assert ("/images/r/flux", (64, 64)) in read
        assert computed == [(64, 64)]
        again = len(read)
        shot.error("r", (31, 95), (40, 104))
        assert read[again:] == [("/images/r/flux", (64, 64))]  # the inputs are kept


@pytest.mark.parametrize("profile", ["plain", "small"])
def test_errors_by_recipe_are_not_rounded(
    profile: str, tmp_path: Path, store_in: Callable[..., Any]
) -> None:
    path = tmp_path / "a.corecube"
    create(path, profile, 8)
    given = counted("r")
    store_in(path, "night/1", [given, replace(counted("without"), recipe=None)])
    with corecube.open(path) as opened:
        shot = opened.shot("lab/night/1")
        image, other = shot.frame("r"), shot.frame("without")
    exactly = profile == "small"
    assert np.array_equal(bits(image.error), bits(given.error)) == exactly
    assert image.recipe == (RECIPE if exactly else None)  # where it is rounded, it is not true
    assert image.provenance.steps == (() if exactly else other.provenance.steps)
    assert len(other.provenance.steps) == 1


def test_verify_and_repair_know_the_profile(
    pair: tuple[Path, Path], tmp_path: Path, store_in: Callable[..., Any]
) -> None:
    path = tmp_path / "s.corecube"
    create(path, "small")
    store_in(path, "night/1", [counted("r")])
    create(path, "plain")  # is there: stays as it is
    assert profile_of(path) == "small"
    with corecube.open(path) as opened:
        before = opened.shot("lab/night/1").frame("r")
        assert not [d for _, found in verify(opened) for d in found]
        about = json.loads((path / "archive.json").read_text("utf-8"))
        (path / "archive.json").write_text(json.dumps({**about, "profile": "tiny"}), "utf-8")
        with pytest.raises(ArchiveTooNew, match="'tiny'"):
            profile_of(path)
        assert [d for _, found in verify(opened) for d in found]
    (path / "archive.json").write_text("{", "utf-8")
    with pytest.raises(ArchiveDamaged, match="repair"):
        profile_of(path)
    repair(path)
    assert profile_of(path) == "small"
    with corecube.open(path) as opened:
        assert not [d for _, found in verify(opened) for d in found]
        assert not list(differences(before, opened.shot("lab/night/1").frame("r")))


def test_an_unknown_recipe_is_damage_not_a_crash(pair: tuple[Path, Path]) -> None:
    with corecube.open(pair[1]) as opened:
        shot = opened.shot("lab/night/2")
        shot.description["images"]["r"]["recipe"]["formula"] = "counts 99"
        with pytest.raises(ArchiveDamaged, match="counts 99"):
            shot.error("r", (0, 5), (0, 5))
        shot.description["images"]["r"]["recipe"]["formula"] = "counts 1"
        shot.description["images"]["r"]["calibration"].pop("sky")
        vars(shot).pop("_inputs", None)
        with pytest.raises(ArchiveDamaged, match="cannot be computed"):
            shot.error("r", (0, 5), (0, 5))
