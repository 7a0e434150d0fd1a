"""README.md and docs/*.md: each link leads somewhere, each page is in the site, each register that is named exists."""

import re
from functools import cache
from pathlib import Path

import pytest

import epbell_regs
from epbell_tb.docs.diagrams import DIAGRAMS

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
#: Pages that speak of registers by name.
GUIDES = ["programming.md", "faq.md", "theory.md", "integration.md"]
_NAME = re.compile(r"`([A-Z][A-Z0-9n]*(?:_[A-Z0-9n]+)*)`(?:\.([A-Z_]+))?")


@cache
def without_code(path):
    return re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(path):
    """Anchors of the headings, as Sphinx and the usual viewers of Markdown make them."""
    headings = re.findall(r"^#+ (.*)", without_code(path), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def links():
    return [
        (path, target) for path in PAGES for target in dict.fromkeys(_LINK.findall(without_code(path)))
    ]


def generated():
    """What `make docs` puts beside the pages."""
    registers = {f"registers/{block}.md" for block in epbell_regs.blocks()}
    return registers | {f"diagrams/{name}.svg" for name in DIAGRAMS}


@pytest.mark.parametrize(("path", "target"), links(), ids=lambda value: getattr(value, "name", value))
def test_link_leads_somewhere(path, target):
    file, _, anchor = target.partition("#")
    if path.parent == DOCS and file in generated():
        return
    there = path.parent / file if file else path
    assert there.exists(), f"{path.name} links to {target}, which is not in the project"
    if anchor:
        assert anchor in anchors(there), f"{path.name} links to {target}; {there.name} has no such heading"


def test_there_are_links():
    assert len(links()) > 60


def test_a_page_of_the_site_links_only_to_pages_of_the_site():
    outside = [(path.name, target) for path, target in links() if path.parent == DOCS and target.startswith("..")]
    assert outside == []


def test_each_page_is_in_one_list_of_the_site():
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```", (DOCS / "index.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    named = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(named) == sorted(pages - {"index"})


def test_each_diagram_is_on_a_page():
    shown = {target for _, target in links() if target.startswith("diagrams/")}
    assert shown == {f"diagrams/{name}.svg" for name in DIAGRAMS}


def test_each_register_block_has_its_page():
    assert {target for path, target in links() if path.name == "registers.md"} == {
        f"registers/{block}.md" for block in epbell_regs.blocks()
    }


@cache
def registers():
    """Names of all registers, with `n` for the numbers of those that there are several of -> their fields."""
    found = {}
    for block in epbell_regs.blocks():
        for node in epbell_regs.load(block).descendants(unroll=True):
            if type(node).__name__ == "RegNode":
                name = epbell_regs.flat_name(node)
                fields = {field.inst_name for field in node.fields()}
                short = re.sub(r"^(?:IB|OB)\d+_", "", name)
                for one in (name, re.sub(r"\d+(?=_|$)", "n", name), short):
                    found.setdefault(one, set()).update(fields)
    return found




@pytest.mark.parametrize("page", GUIDES)
def test_each_register_that_is_named_exists(page):
    named = set(_NAME.findall(without_code(DOCS / page)))
    assert len(named) > 1
    for name, field in named:
        if name in ("RUNG", "MERGED", "DELIVERED", "BASE"):  # of BELLn and EDMA; LOWER_BASE and UPPER_BASE
            continue
        assert name in registers(), f"{page} names {name}, which is no register"
        assert not field or field in registers()[name], f"{page} names {name}.{field}, which is no field"
