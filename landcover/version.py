"""The version of what makes a map: kept with it, and with work in progress.

It changes with all that can change a pixel, and with nothing else: neither with comments and
docstrings, nor with the texts of the report and the catalogue.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import rasterio

ROOT = Path(__file__).parents[1]

# The vocabulary, the domain, and the tasks that call it.
SOURCES = (
    "landcover/*.py",
    "landcover/imagery/*.py",
    "landcover/model/*.py",
    "landcover/maps/*.py",
    "tasks/mosaic.py",
    "tasks/polygons.py",
    "tasks/sampling.py",
    "tasks/training.py",
    "tasks/windows.py",
    "tasks/assembly.py",
)

# What they write lies beside a map.
WITHOUT_PIXELS = {"landcover/maps/sidecar.py", "landcover/maps/stac.py"}

LIBRARIES = ("numba", "numpy", "pyproj", "rasterio", "scikit-learn", "shapely")


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that can change a map, by name."""
    versions = {name: version(name) for name in LIBRARIES}
    return {"GDAL": rasterio.__gdal_version__, **versions}


@cache
def code_version(root: Path = ROOT) -> str:
    """Return the package's version, and a digest of all that can change a pixel.

    Args:
        root: the folder that holds the packages `landcover` and `tasks`.
    """
    digest = hashlib.sha256()
    for name, library in sorted(library_versions().items()):
        digest.update(f"{name} {library}\n".encode())
    for source in _sources(root):
        name = source.relative_to(root).as_posix()
        digest.update(f"{name}\n{_without_prose(source.read_text('utf-8'))}\n".encode())
    return f"{version('chocoforest')}+{digest.hexdigest()[:12]}"


def _sources(root: Path) -> Iterable[Path]:
    left_out = {root / name for name in WITHOUT_PIXELS}
    return sorted({path for pattern in SOURCES for path in root.glob(pattern)} - left_out)


def _without_prose(source: str) -> str:
    """Return code as text without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            del node.body[0]
    return ast.dump(tree)
