"""A stranger's instrument from examples/, installed like any package; and strangers that fail."""

from __future__ import annotations

import ast
import asyncio
import csv
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corecube.archive import open_archive
from corecube.masks import names

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "corecube-skyimages"
MOSAIC = "m3/sdss_g_mosaic_m3_crop.fits.bz2"
STAR = (205.612899, 28.390328)
"""The brightest fibre of a spectrograph lay here, on a star of M3 (ICRS, degrees)."""

Cli = Callable[..., Any]


# -- what it may import ----------------------------------------------------------------------------


def public_modules() -> set[str]:
    """The modules that docs/plugins.md names: the list below its heading."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    section = text.split("## What a plugin may import\n")[1].split("\n## ")[0]
    return set(re.findall(r"^- `(corecube\.[a-z0-9_.]+)`", section, re.MULTILINE))


def imports(path: Path) -> Iterator[str]:
    """The modules of the core that a file imports; ``from corecube import x`` is corecube.x."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "corecube":
            found = [f"corecube.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module or ""]
        else:
            continue
        yield from (name for name in found if name.partition(".")[0] == "corecube")


def test_the_public_modules_are_there() -> None:
    assert len(public_modules()) > 10
    for name in public_modules():
        importlib.import_module(name)


@pytest.mark.parametrize("folder", ["examples/corecube-skyimages", "plugins"])
def test_instruments_import_only_what_the_contract_names(folder: str) -> None:
    """Ours come in through the same door."""
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imports(path)
        if name not in public_modules()
    }
    assert not wrong


def test_the_stranger_is_small_and_needs_only_astropy_and_numpy() -> None:
    (module,) = (EXAMPLE / "corecube_skyimages").rglob("*.py")
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 260
    tops = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE))
    assert tops - set(sys.stdlib_module_names) == {"corecube", "astropy", "numpy"}


# -- the stranger ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the stranger's distribution."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(EXAMPLE, folder / "source")
    target = folder / "site"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-index",
         "--no-deps", "--no-build-isolation", "--target", target, folder / "source"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip(f"the stranger cannot be built here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert list(target.glob("corecube_skyimages-*.dist-info"))
    return target


@pytest.fixture
def stranger(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process find the stranger."""
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("CORECUBE_PLUGINS", f"{os.environ['CORECUBE_PLUGINS']},skyimages")


@pytest.fixture
def images(data: Path) -> list[Path]:
    """Three collapsed images of one field unit, and the mosaic."""
    folder = data / "hetdex"
    if not (folder / MOSAIC).exists():
        pytest.skip("the real data have no images for the stranger")
    return [*sorted((folder / "shot20180611v017").glob("CoFeS*")), folder / MOSAIC]


@pytest.mark.usefixtures("stranger")
def test_the_stranger_ingests_and_is_queried(cli: Cli, images: list[Path], tmp_path: Path) -> None:
    archive = tmp_path / "sky.corecube"
    report = tmp_path / "report.json"
    done = cli("ingest", "-i", "skyimages", "-a", archive, *images, "--report", report)
    assert done.code == 0, done.err
    said = json.loads(report.read_text())
    assert said["counts"] == {"ingested": 4}
    assert {shot["identity"] for shot in said["shots"]} == {
        "skyimages/20180611/084", "skyimages/mosaic/205.6042+28.3992",
    }  # fmt: skip

    query = cli("query", archive, *STAR, "--radius", "1arcsec", "--format", "csv")
    assert query.code == 0, query.err
    (row,) = csv.DictReader(io.StringIO(query.out))
    assert (row["shot"], row["id"], row["band"]) == ("mosaic/205.6042+28.3992", "g", "g")
    assert (row["unit"], row["contains"].lower()) == ("nanomaggy", "true")

    cutouts = tmp_path / "cutouts"
    query = cli("query", archive, *STAR, "--radius", "1arcsec", "--cutouts", cutouts)
    assert query.code == 0 and len(list(cutouts.glob("*.fits"))) == 1
    # the star is where the files' own WCS has it: its brightest pixel within 2 arcsec (5 pixels)
    with open_archive(archive) as opened:
        image = opened.get("skyimages/mosaic/205.6042+28.3992/g").frame()  # type: ignore[union-attr]
        assert image.error is not None and image.mask is not None
        x, y = image.wcs.all_world2pix([STAR], 0)[0]
        near = image.flux[int(y) - 10 : int(y) + 11, int(x) - 10 : int(x) + 11]
        peak = [int(part[0]) - 10 for part in (near == near.max()).nonzero()]
        assert max(map(abs, peak)) <= 5 and near.max() > 10
        assert len(set(image.error.ravel().tolist())) == 1 and 0 < image.error[0, 0] < 0.1
        assert any("error estimated" in step for step in image.provenance.steps)
        collapsed = opened.get("skyimages/20180611/084/054545.2").frame()  # type: ignore[union-attr]
        assert collapsed.flux.shape == (51, 51) and collapsed.unit == ""
        assert collapsed.cards is None and collapsed.times.quality == "night"
        start, end = collapsed.times.span
        # 2018-06-11T05:45:45 UTC is MJD 58280.24; TAI is 37 s ahead
        assert end - start == 1.0 and start < 58280.24 < end
        assert names(int(image.mask.max())) == ()

    again = cli("ingest", "-i", "skyimages", "-a", archive, *images)
    assert again.code == 0 and "4 unchanged" in again.err
    shown = cli("show", archive, "skyimages/mosaic/205.6042+28.3992/g")
    assert shown.code == 0 and "estimated" in shown.out
    assert cli("verify", archive).code == 0


@pytest.mark.usefixtures("stranger")
def test_the_archive_needs_the_stranger_no_more(
    cli: Cli, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "sky.corecube"
    assert cli("ingest", "-i", "skyimages", "-a", archive, images[-1]).code == 0
    monkeypatch.setenv("CORECUBE_PLUGINS", "sdss")
    query = cli("query", archive, *STAR, "--radius", "1arcsec", "--format", "csv")
    assert query.code == 0 and "mosaic/205.6042+28.3992" in query.out
    assert cli("show", archive, "skyimages/mosaic/205.6042+28.3992/g").code == 0


@pytest.mark.usefixtures("stranger")
def test_the_stranger_is_browsed(cli: Cli, images: list[Path], tmp_path: Path) -> None:
    """The value under the cursor is that of the archive, with its error."""
    from corecube.text import number_text
    from corecube_cli.browse.app import BrowseApp

    archive = tmp_path / "sky.corecube"
    assert cli("ingest", "-i", "skyimages", "-a", archive, *images).code == 0
    name = "skyimages/mosaic/205.6042+28.3992/g"
    with open_archive(archive) as opened:
        stored: Any = opened.get(name).frame()  # type: ignore[union-attr]
    x, y = 123, 45
    value = f"{number_text(stored.flux[y, x])} ± {number_text(stored.error[y, x])}"

    async def look() -> str:
        app = BrowseApp(archive, name, "2arcsec", colored=True)
        async with app.run_test(size=(160, 48)) as pilot:

            async def quiet() -> None:
                for _ in range(1500):
                    await pilot.pause(0.02)
                    if app.overview is not None and app.idle:
                        return
                raise AssertionError("it did not come to rest")

            await quiet()
            await pilot.press("enter")
            await quiet()
            app.image.move_to_pixel(x, y)
            await quiet()
            return "\n".join(strip.text for strip in app.screen._compositor.render_strips())

    text = asyncio.run(look())
    assert name in text and f"x {x} y {y} " in text and value in text


@pytest.mark.usefixtures("stranger")
def test_the_stranger_passes_the_kit(cli: Cli, images: list[Path], data: Path) -> None:
    others = [data / "hetdex" / "m3" / "Fepses20160409T100026.3_084_sci_L.fits.bz2"]
    options = [part for path in others for part in ("--not-mine", path)]
    done = cli("plugins", "check", "skyimages", *images, *options)
    assert done.code == 0, done.out
    last = done.out.splitlines()[-1]
    assert re.fullmatch(r"\d+ passed, 0 failed, \d+ skipped \(no calibrator\)", last)
    assert int(last.split()[0]) >= 30


# -- strangers that fail ---------------------------------------------------------------------------

GOOD = """
from dataclasses import dataclass
from corecube.hookspecs import API, Instrument, hookimpl

@dataclass(frozen=True)
class Config:
    pass

@hookimpl
def corecube_instrument():
    return Instrument("A stranger", (API, API), 1, Config)

@hookimpl
def corecube_identify(file, config):
    return None

@hookimpl
def corecube_read_frames(plan, entry, config, context):
    yield from ()

@hookimpl
def corecube_archive_columns(config):
    return {}
"""

STRANGERS = {
    "algol": (f"import no_such_thing\n{GOOD}", "broken",
              "could not be loaded: ModuleNotFoundError: No module named 'no_such_thing'"),
    "mira": (GOOD.replace("(API, API)", "(API + 1, API + 1)"), "incompatible",
             "was made for plugin API 2"),
    "deneb": (GOOD.replace("identify(file, config)", "identify(file, settings)"), "invalid",
              "hook 'corecube_identify' has no argument 'settings'"),
    "rigel": (f"print('rigel is here')\n{GOOD}", "ok", ""),
    "spica": (f"import sys\nsys.exit('spica leaves')\n{GOOD}", "broken",
              "could not be loaded: SystemExit: spica leaves"),
    "sdss": (GOOD, "duplicate", "two installed packages provide the instrument 'sdss'"),
}  # fmt: skip
"""Name, source, state, and what the message says."""


@pytest.mark.usefixtures("stranger")
def test_all_that_fail_at_once_harm_no_other(
    cli: Cli, install: Any, images: list[Path], tmp_path: Path
) -> None:
    for name, (source, _, _) in STRANGERS.items():
        module = f"{name}_of_a_stranger"
        install(f"corecube-{name}-stranger", "1.0", {name: module}, {module: source})

    listed = cli("plugins", "list", "--json")
    assert listed.code == 0
    found = {row["name"]: row for row in json.loads(listed.out)}  # nothing else is on stdout
    assert "rigel is here" in listed.err
    for name, (_, state, message) in STRANGERS.items():
        assert found[name]["state"] == state
        assert message in found[name]["message"] and "\n" not in found[name]["message"]
    assert found["skyimages"]["state"] == "ok"
    said = cli("plugins", "list", "--verbose").out
    assert all(message in said for _, _, message in STRANGERS.values())

    archive = tmp_path / "sky.corecube"
    done = cli("ingest", "-i", "skyimages", "-a", archive, *images)
    assert done.code == 0, done.err
    assert not any(name in done.err + done.out for name in ("algol", "spica", "deneb"))
    query = cli("query", archive, *STAR, "--radius", "1arcsec", "--format", "csv")
    assert query.code == 0 and len(query.out.splitlines()) == 2

    for name, (_, state, message) in STRANGERS.items():
        if state != "ok":
            asked = cli("ingest", "-i", name, "-a", archive, *images)
            assert asked.code == 6
            assert message in asked.err and len(asked.err.splitlines()) == 1
