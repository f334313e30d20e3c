"""What all tests share: a world of their own, and the real data if they are here."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

ROOT = Path(__file__).resolve().parents[1]
NO_SKIP = os.environ.get("CORECUBE_NO_SKIP") == "1"
TEST_DATA = Path(os.environ.get("CORECUBE_TEST_DATA") or ROOT.parent / "shared" / "data")

# For astropy: neither tables of the Earth's rotation nor anything else is fetched in a test.
NO_INTERNET = """\
[utils.data]
allow_internet = False
[utils.iers.iers]
auto_download = False
"""

# No deadline: the first example of a test pays for its imports, on a machine that others use too.
_shared = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", _shared, derandomize=True, database=None)
settings.register_profile(
    "developer", _shared, database=DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples")
)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def _skip_is_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIP and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"CORECUBE_NO_SKIP=1 turns a skip into a failure: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _skip_is_failure(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _skip_is_failure(report)
    return report


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """The content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session", autouse=True)
def _world(tmp_path_factory: pytest.TempPathFactory, project: dict[str, Any]) -> Iterator[Path]:
    """No configuration of the user's, no instrument but our own, in subprocesses too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("CORECUBE_", "XDG_")):
                patch.delenv(name)
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PAGER"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        for name in ("config", "cache", "data", "state"):
            (home / name / "astropy").mkdir(parents=True)  # astropy warns where they are missing
            patch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))
        (home / "config" / "astropy" / "astropy.cfg").write_text(NO_INTERNET, encoding="utf-8")
        patch.setenv("XDG_CONFIG_DIRS", str(home / "system"))
        ours = project["project"]["entry-points"]["corecube.instruments"]
        patch.setenv("CORECUBE_PLUGINS", ",".join(sorted(ours)))
        yield home


@pytest.fixture(autouse=True)
def _empty_folder(_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run each test in a folder without a corecube.yaml, and come back to where we were."""
    folder = tmp_path_factory.getbasetemp() / "cwd"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield
    left = sorted(path.name for path in folder.iterdir())
    shutil.rmtree(folder)
    assert not left, f"the test left {left} in the current folder; write to tmp_path"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real files, `../shared/data` or CORECUBE_TEST_DATA."""
    if not TEST_DATA.is_dir():
        pytest.skip("no real data: CORECUBE_TEST_DATA names no folder, nor is ../shared/data one")
    return TEST_DATA


@pytest.fixture(scope="session")
def sdss_data(data: Path) -> Path:
    """The SDSS images and spectra among the real files."""
    folder = data / "sdss"
    if not folder.is_dir():
        pytest.skip("the real data have no folder sdss")
    return folder
