"""Whatever is imported is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"benchmarks", "demo", "flows", "landcover", "soak", "tasks", "tests"}

INSTALLED = {
    re.split(r"[<>=!~ \[;]", requirement)[0]
    for requirements in (
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
    )
    for requirement in requirements
}
DEVELOPMENT = set(PROJECT["tool"]["poetry"]["group"]["dev"]["dependencies"])
DISTRIBUTIONS = {
    package: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    for package, names in packages_distributions().items()
}


def imported(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the packages that a folder's files import, with the file."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in names:
                package = name.partition(".")[0]
                if package not in sys.stdlib_module_names | OURS:
                    yield package, str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("folder", "declared"),
    [
        # `make demo` installs what the package needs, and no more.
        *((folder, INSTALLED) for folder in ("flows", "tasks", "landcover", "demo")),
        *((folder, INSTALLED | DEVELOPMENT) for folder in ("tests", "soak", "benchmarks", "docs")),
    ],
)
def test_what_is_imported_is_declared(folder, declared):
    found = dict(imported(folder))
    assert found
    undeclared = {
        package: path
        for package, path in found.items()
        if not DISTRIBUTIONS.get(package, {package}) & declared
    }
    assert undeclared == {}
