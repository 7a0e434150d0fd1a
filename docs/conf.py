"""How Sphinx builds the site; `make docs` hands it a copy of this folder with the generated pages beside the others."""

import json
from pathlib import Path

import yowasp_wavedrom
from sphinx.application import Sphinx

project = "epbell"
author = "the epbell authors"
copyright = "BSD-2-Clause"

extensions = ["myst_parser"]
exclude_patterns = []
# A fence without a language that Sphinx knows is shown as it is.
highlight_language = "none"
# Links to headings work as they do where the pages are read as Markdown.
myst_heading_anchors = 4
nitpicky = True

html_theme = "furo"
html_title = "epbell"
html_static_path = ["style"]
html_css_files = ["epbell.css"]
html_show_sphinx = False
html_copy_source = False


def render_diagrams(app: Sphinx) -> None:
    """Render each recorded trace: diagrams/<name>.json to diagrams/<name>.svg."""
    for source in sorted(Path(app.srcdir, "diagrams").glob("*.json")):
        svg = yowasp_wavedrom.render(json.loads(source.read_text(encoding="utf-8")))
        source.with_suffix(".svg").write_text(svg, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Render before any page is read: a page whose picture is missing is an error."""
    app.connect("builder-inited", render_diagrams)
