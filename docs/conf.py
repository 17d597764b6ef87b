"""How Sphinx builds the documentation: `make docs`."""

import os
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.rst import escape

sys.path.insert(0, str(Path(__file__).parents[1]))
# A compiled function is not a Python function, so that autodoc would leave it out.
os.environ["NUMBA_DISABLE_JIT"] = "1"

project = "chocoforest"
project_copyright = "the chocoforest contributors"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_sphinx = False

# Dashes alone: quotes and dots stay as they are written, because many are part of a setting.
smartquotes_action = "D"
myst_heading_anchors = 3

# The reference: a page for each module of the domain, made anew with each build.
templates_path = ["_templates"]
autosummary_generate = True
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "model_config",
}
add_module_names = False
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# What stands between single backticks in a docstring is code.
default_role = "code"


# Stands for a colon while napoleon is at work, which takes what comes before one for a type.
COLON = "\ue000"


def hide_colon(
    app: Sphinx, what: str, name: str, it: object, options: object, lines: list[str]
) -> None:
    """Hide the colons in the first line about a field or a property."""
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(":", COLON)


def show_colon(
    app: Sphinx, what: str, name: str, it: object, options: object, lines: list[str]
) -> None:
    """Show them again."""
    lines[:] = [line.replace(COLON, ":") for line in lines]


def describe_options(
    app: Sphinx, what: str, name: str, it: object, options: object, lines: list[str]
) -> None:
    """List the fields of a pydantic model with the texts that its form and its command show."""
    fields: dict[str, Any] = getattr(it, "model_fields", {}) if what == "class" else {}
    for field_name, field in fields.items():
        lines += [f".. attribute:: {field_name}", "", f"   {escape(str(field.description))}", ""]


def setup(app: Sphinx) -> None:
    """Connect what Sphinx and its extensions do not do by themselves."""
    # Napoleon is at 500.
    app.connect("autodoc-process-docstring", hide_colon, priority=400)
    app.connect("autodoc-process-docstring", show_colon, priority=600)
    app.connect("autodoc-process-docstring", describe_options, priority=600)
