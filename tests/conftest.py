"""What all tests share: a world of their own, and the real data if they are here."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

ROOT = Path(__file__).resolve().parents[1]
NO_SKIP = os.environ.get("CORECUBE_NO_SKIP") == "1"
TEST_DATA = Path(os.environ.get("CORECUBE_TEST_DATA") or ROOT.parent / "shared" / "data")

ONE_WORKER = ("browse", "boss", "ccdlab", "hetdex")
"""Folders with fixtures of a session that ingest real files."""

# For astropy: neither tables of the Earth's rotation nor anything else is fetched in a test.
NO_INTERNET = """\
[utils.data]
allow_internet = False
[utils.iers.iers]
auto_download = False
"""

# No deadline: the first example of a test pays for its imports, on a machine that others use too.
_shared = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", _shared, derandomize=True, database=None,
    # fewer than a developer's 100: they are the same ones each time, and the suite has 20 minutes
    max_examples=int(os.environ.get("CORECUBE_EXAMPLES", "60")),
)  # fmt: skip
settings.register_profile(
    "developer", _shared, database=DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples")
)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def _skip_is_failure(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIP and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if str(reason).startswith("Skipped: does not apply: "):
            return  # of the conformance kit: no installation would change it
        report.outcome = "failed"
        report.longrepr = f"CORECUBE_NO_SKIP=1 turns a skip into a failure: {reason}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a folder whose archives cost much to make in one worker."""
    for item in items:
        folder = item.path.parent.name
        if folder in ONE_WORKER and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(folder))


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


# -- instruments for tests -------------------------------------------------------------------------

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution as far as `importlib.metadata` can tell.

    ``install("corecube-foo", "1.2", {"foo": "foo_module"}, {"foo_module": "source"})`` makes the
    folder, puts it on the path, forgets what was loaded, and returns it.
    """
    from corecube import plugins

    def install_one(
        name: str,
        version: str,
        instruments: dict[str, str],
        modules: dict[str, str] | None = None,
        requires: tuple[str, ...] = (),
    ) -> Path:
        folder = tmp_path / "site" / name
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        entries = "".join(f"{key} = {value}\n" for key, value in instruments.items())
        (info / "entry_points.txt").write_text(f"[corecube.instruments]\n{entries}", "utf-8")
        for module, source in (modules or {}).items():
            (folder / f"{module}.py").write_text(source, "utf-8")
        monkeypatch.syspath_prepend(str(folder))
        names = os.environ.get("CORECUBE_PLUGINS", "").split(",")
        monkeypatch.setenv("CORECUBE_PLUGINS", ",".join({*names, *instruments}))
        plugins._load.cache_clear()
        return folder

    return install_one


@pytest.fixture
def toy(install: Install, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the instrument ``toy``, installed like a stranger's, in workers too."""
    install("corecube-toy", "0.1", {"toy": "toy"})
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "instruments"))
    monkeypatch.delitem(sys.modules, "toy", raising=False)
    return importlib.import_module("toy")


@pytest.fixture(scope="session")
def compare() -> Any:
    """Functions that say what an archive holds: `content`, `damages`, `listing`."""
    path = ROOT / "tests" / "instruments" / "content.py"
    spec = importlib.util.spec_from_file_location("compare_archives", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def start_ingest(toy: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start an ingest in a process of its own; see tests/instruments/run_ingest.py."""
    started: list[subprocess.Popen[str]] = []
    script = ROOT / "tests" / "instruments" / "run_ingest.py"

    def start(
        paths: list[Path], archive: Path, instrument: str = "toy", **order: Any
    ) -> subprocess.Popen[str]:
        text = json.dumps(
            {"instrument": instrument, "paths": list(map(str, paths)), "archive": str(archive)}
            | order
        )
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(script), text],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
