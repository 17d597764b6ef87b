"""docs/what-can-go-wrong.md has every sentence that a run ends or warns with, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from landcover import errors
from landcover.notices import ENGLISH

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "what-can-go-wrong.md"

FAILURES = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and kind.__module__ == errors.__name__
}

# What stands for a value.
GAP = "…"


def said_in(path: Path) -> Iterator[str]:
    """Yield the texts of the foreseen failures in a file, with a gap for each value."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("describe_"):
            yield from (
                text_of(part.value)
                for part in ast.walk(node)
                if isinstance(part, ast.Return) and isinstance(part.value, ast.JoinedStr)
            )
        # Where it depends which of them it is, it is called `failure`.
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {*FAILURES, "failure"}
        ):
            yield text_of(node.args[0])


def text_of(node: ast.expr) -> str:
    match node:
        case ast.Constant():
            return str(node.value)
        case ast.JoinedStr():
            return "".join(map(text_of, node.values))
        case _:
            return GAP


SENTENCES = sorted(
    {
        *(
            said
            for package in ("flows", "landcover", "tasks")
            for path in sorted((ROOT / package).rglob("*.py"))
            for said in said_in(path)
            if len(said.replace(GAP, "")) > 10  # the others stand in another
        ),
        *(re.sub(r"{\w+}", GAP, text) for text in ENGLISH.values() if text.endswith(".")),
    }
)

QUOTED = [
    quoted.replace(r"\|", "|")
    for quoted in re.findall(
        r"^\| (?!what it says|---)(.+?) \|", PAGE.read_text("utf-8"), re.MULTILINE
    )
]


def is_in(quoted: str, sentence: str) -> bool:
    """Tell whether a sentence has the parts of a quotation, in their order."""
    parts = (re.escape(part.strip()) for part in quoted.split(GAP))
    return re.search(".*".join(parts), sentence) is not None


def test_there_are_sentences_to_be_found() -> None:
    assert len(SENTENCES) > 80
    assert is_in("The image … is rotated", "The image … is rotated or not north-up")
    assert not is_in("rotated … The image", "The image … is rotated or not north-up")


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_that_a_run_says_is_on_the_page(sentence: str) -> None:
    assert any(is_in(quoted, sentence) for quoted in QUOTED)


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_sentence_on_the_page_is_one_that_a_run_says(quoted: str) -> None:
    assert any(is_in(quoted, sentence) for sentence in SENTENCES)
