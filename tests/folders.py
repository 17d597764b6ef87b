"""What folders hold."""

from pathlib import Path


def contents(folder: Path) -> dict[str, bytes]:
    """What is in each file of a folder, by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
