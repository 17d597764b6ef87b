"""What the version of the code sees: all that can change a pixel, and nothing else."""

import shutil
from pathlib import Path

import pytest

from landcover import version
from landcover.version import ROOT, SOURCES, code_version


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code."""
    for package in ("landcover", "tasks"):
        shutil.copytree(ROOT / package, tmp_path / package)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "landcover/windows.py",
        "landcover/imagery/pixels.py",
        "landcover/model/bins.py",
        "landcover/maps/kernels.py",
        "tasks/windows.py",
        "tasks/sampling.py",
    ],
)
def test_the_version_changes_with_code_that_can_change_a_pixel(copy: Path, name: str) -> None:
    before = code_version(copy)
    with (copy / name).open("a") as file:
        file.write("\nANOTHER = 1\n")
    code_version.cache_clear()
    assert code_version(copy) != before


@pytest.mark.parametrize(
    ("name", "addition"),
    [
        ("landcover/imagery/pixels.py", "\n# A comment.\n"),
        ("landcover/maps/stac.py", "\nANOTHER = 1\n"),
        ("landcover/maps/sidecar.py", "\nANOTHER = 1\n"),
        ("landcover/report/page.py", "\nANOTHER = 1\n"),
        ("tasks/artifacts.py", "\nANOTHER = 1\n"),
    ],
)
def test_the_version_stays_where_no_pixel_can_change(copy: Path, name: str, addition: str) -> None:
    before = code_version(copy)
    with (copy / name).open("a") as file:
        file.write(addition)
    code_version.cache_clear()
    assert code_version(copy) == before


def test_the_version_stays_when_a_docstring_is_mended(copy: Path) -> None:
    before = code_version(copy)
    source = copy / "landcover/grid.py"
    source.write_text(source.read_text().replace("A north-up raster grid.", "A grid, north up."))
    code_version.cache_clear()
    assert code_version(copy) == before


def test_the_version_changes_when_a_module_is_moved(copy: Path) -> None:
    before = code_version(copy)
    (copy / "landcover/maps/kernels.py").rename(copy / "landcover/maps/loops.py")
    code_version.cache_clear()
    assert code_version(copy) != before


def test_the_version_changes_with_that_of_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version()
    versions = version.library_versions()
    assert versions.keys() >= {"GDAL", "numpy", "numba", "scikit-learn"}
    monkeypatch.setattr(version, "library_versions", lambda: {**versions, "GDAL": "0.0"})
    code_version.cache_clear()
    assert code_version() != before
    code_version.cache_clear()


def test_every_pattern_of_sources_stands_for_files_that_are_there() -> None:
    assert all(list(ROOT.glob(pattern)) for pattern in SOURCES)
