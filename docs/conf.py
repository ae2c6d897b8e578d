"""Sphinx configuration. Build: sphinx-build -W --keep-going -b html docs docs/_build/html."""

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import orthoref

HERE = Path(__file__).parent
os.environ["COLUMNS"] = "110"  # of help texts

project = "orthoref"
author = "The orthoref developers"
copyright = author  # noqa: A001 - the name is Sphinx's
version = release = orthoref.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinxcontrib.bibtex",
    "numpydoc",
    "myst_nb",
]
if find_spec("sphinx-mathjax-offline"):  # MathJax from the site itself: mathematics without a network
    extensions.append("sphinx-mathjax-offline")
exclude_patterns = [
    "_build",
    "*_table.md",
    "_generated",
]
default_role = None
root_doc = "index"

html_theme = "pydata_sphinx_theme"
html_title = f"orthoref {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
WITHOUT_CHILDREN = (
    "installation",
    "command_line",
    "ci",
    "formulas",
    "verdicts",
    "verdicts_before_after",
    "mutation",
    "quickstart",
    "how_to_judge_muon",
    "how_to_judge_gradients",
    "battery",
    "exchange",
    "conventions",
    "which_schedule",
    "accuracy",
    "ports",
    "newton_schulz_ports",
    "derivative_ports",
    "errata",
    "references",
    "changelog",
)
html_sidebars = {page: [] for page in WITHOUT_CHILDREN}
html_theme_options = {
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "header_links_before_dropdown": 4,
}
html_show_sourcelink = False

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
numfig = False
math_numfig = False

nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "myst"

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "alpha"
bibtex_reference_style = "author_year"

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = False

_KEY = re.compile(r"\[([A-Z][A-Za-z]*\d{4}[a-z]*)\]_")
_LITERAL = re.compile(r"(``.*?``)")


def _plain_to_rst(app, what, name, obj, options, lines):
    """Docstrings are written to be read in a terminal: norms as |A|, citations as [Higham2008]_.

    The citations become roles that look the key up in references.bib. The bars are escaped outside literals, or reST
    would take them for substitutions.
    """
    for i, line in enumerate(lines):
        if line.lstrip().startswith((">>>", "...")):
            continue
        parts = _LITERAL.split(_KEY.sub(r":cite:t:`\1`", line))
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[i] = "".join(parts)


def _capability_lines():
    """One line per operation of the oracle's table."""
    from orthoref import conformance
    from orthoref.oracle.operations import OPERATIONS

    head = ("Operation", "Outputs", "JVP", "VJP", "Condition", "Checks", "Default inputs")
    rows = []
    for row in OPERATIONS.values():
        primal, jvp, vjp, condition = (
            f"{{py:func}}`~orthoref.{function.__name__}`" if function else "-"
            for function in (row.reference, row.jvp, row.vjp, row.condition)
        )
        checks = ", ".join(f"`{check.name}`" for check in row.checks)
        count = f"{len(conformance.battery(row.name))} in {', '.join(row.dtypes)}"
        rows.append((primal, ", ".join(row.outputs), jvp, vjp, condition, checks, count))
    return _table(head, rows)


def _derivative_lines():
    """One line per derivative that is judged as an operation of its own."""
    from orthoref.oracle.operations import DERIVATIVES

    return _judged_lines(DERIVATIVES)


def _constructor_lines():
    """One line per constructor, and per derivative of one."""
    from orthoref.oracle.operations import CONSTRUCTORS

    return _judged_lines(CONSTRUCTORS)


def _geometry_lines():
    """One line per map on the Stiefel manifold, and per derivative of one."""
    from orthoref.oracle.operations import GEOMETRY, TANGENT_MAPS

    return _judged_lines(GEOMETRY | TANGENT_MAPS)


def _judged_lines(operations):
    from orthoref import conformance

    head = ("Operation", "Function here", "Takes", "Returns", "Claims", "Limit", "Default inputs")
    rows = []
    for row in operations.values():
        takes, returns = (", ".join(f"`{name}`" for name in names) for names in (row.inputs, row.outputs))
        claims = ", ".join(f"`{claim.name}`" for claim in row.claims)
        count = f"{len(conformance.battery(row.name))} in {', '.join(row.dtypes)}"
        function = f"{{py:func}}`~orthoref.{row.name}`"
        rows.append((f"`{row.name}`", function, takes, returns, claims or "-", f"{row.limit:g}", count))
    return _table(head, rows)


def _table(head, rows):
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def _command_lines():
    """The help of every command."""
    from orthoref import cli

    commands = next(action for action in cli._parser()._actions if action.choices)
    for name, command in commands.choices.items():
        yield from (f"## {name}", "", "```text", command.format_help().rstrip(), "```", "")


def _report_lines():
    """The fields of the JSON report, from its schema."""
    schema = json.loads((Path(orthoref.__file__).parent / "oracle" / "report.schema.json").read_text(encoding="utf-8"))
    defined = schema["$defs"]
    parts = {"The report": schema, "A case": defined["case"], "A ratio": defined["ratios"]["additionalProperties"]}
    for title, part in parts.items():
        yield from (f"**{title}**", "")
        rows = [(f"`{name}`", _kind(field), field.get("description", "")) for name, field in part["properties"].items()]
        yield from (*_table(("Field", "Is", "What"), rows), "")


def _kind(field):
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    kinds = field.get("type", field.get("$ref", "").rpartition("/")[2])
    return " or ".join([kinds] if isinstance(kinds, str) else kinds)


def _capability_table(app):
    """Written before the sources are read."""
    folder = HERE / "_generated"
    folder.mkdir(exist_ok=True)
    pages = {"operations": _capability_lines(), "derivatives": _derivative_lines(),
             "constructors": _constructor_lines(), "geometry": _geometry_lines(),
             "commands": _command_lines(), "report": _report_lines()}  # fmt: skip
    for name, lines in pages.items():
        path, text = folder / f"{name}.md", "\n".join(lines) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app):
    app.connect("autodoc-process-docstring", _plain_to_rst, priority=400)  # before numpydoc looks for references
    app.connect("builder-inited", _capability_table)
