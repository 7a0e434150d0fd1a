# amaranth: UnusedElaboratable=no
"""The table of parameters in docs/export.md is complete and right, and what it does not allow is refused in words."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from epbell.address_map import AddressMap
from epbell.bar import DEFAULT_BARS, Bar
from epbell.edma import EdmaAxil, EdmaShape
from epbell.endpoint import Endpoint
from epbell.export import MODULES
from epbell.mu import MuAxil, MuAxilAsync

DOCS = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w.]+)` \| `(\w+)` \| ?(.*?) \| .+? \| .+? \|$", DOCS, flags=re.MULTILINE)
# What each class needs besides the parameter that is tried.
LAYOUT = {"layout": "imx8ulp"}
LEAST = {MuAxil: LAYOUT, MuAxilAsync: LAYOUT, Bar: {"size": 4096}, Endpoint: {"width": 64}}
CLASSES = (MuAxil, MuAxilAsync, EdmaShape, Bar, AddressMap, Endpoint)
#: Of no parameter's kind. What is a number for one parameter, or None, is in the lists below.
STRANGE = ["6", 6.5, [], {}, -1]
ONE_TOO_FAR = {
    ("Endpoint", "width"): [0, 32, 65, 1024, None],
    ("Endpoint", "bars"): [None, (), (4096,), (None,), (Bar(4096),) * 7, (None,) * 5 + (Bar(4096, wide=True),)],
    ("Endpoint", "layout"): ["", "imx9", None],
    ("Endpoint", "windows"): [0, 17, None],
    ("Endpoint", "ram_size"): [0, 2048, 4097, 3 << 20, 1 << 31, None],
    ("Endpoint", "guard"): [0, 1, None],
    ("Endpoint", "address_map"): [0, {}, AddressMap, AddressMap(ram=0x60010000), AddressMap(edma=0x70010000)],
    ("Endpoint", "reads"): [0, 33, None],
    ("Endpoint", "patience"): [0, None],
    ("Endpoint", "edma"): [0, {}, EdmaShape],
    ("Endpoint", "fixed_bar"): [6, True],
    ("Endpoint", "outbound_windows"): [0, 17, None],
    ("Endpoint", "aperture"): [0, 1 << 15, (1 << 16) + 1, 1 << 31, None],
    ("Endpoint", "outbound_reads"): [0, 33, None],
    ("Endpoint", "tags"): [0, 7, 257, None],  # 7: less than outbound_reads
    ("Endpoint", "timeout"): [0, None],
    ("Endpoint", "msix_vectors"): [0, 2049],
    ("Endpoint", "msix"): ["", "RQ", None],
    ("Endpoint", "flr_timeout"): [0, 1, (1 << 24) + 1, None],
    ("EdmaShape", "personality"): ["", "edma", None],
    ("EdmaShape", "write_channels"): [0, 9, None],
    ("EdmaShape", "read_channels"): [0, 9, None],
    ("EdmaShape", "lines"): [0, 17, None],
    ("EdmaShape", "base"): [2, 0x10000],
    ("EdmaShape", "doorbell_only"): [0, 1, None],
    ("Bar", "size"): [0, 64, 129, 1 << 32, None],
    ("Bar", "wide"): [0, 1, None],
    **{("AddressMap", name): [1, 0x8000, 1 << 64, None] for name in inspect.signature(AddressMap).parameters},
    ("MuAxil", "registered"): [0, 1, None],
    **{(name, "layout"): ["", "imx9", None] for name in ("MuAxil", "MuAxilAsync")},
}
TRIED = [
    (cls, name, value)
    for cls in CLASSES
    for name in inspect.signature(cls).parameters
    for value in [*STRANGE, *ONE_TOO_FAR[cls.__name__, name]]
]
SENTENCE = re.compile(r"[A-Z'].* (must|needs|has) .*\bnot .+", re.DOTALL)


def test_every_parameter_of_every_constructor_is_in_the_table():
    found = [(cls, name) for cls in CLASSES for name in inspect.signature(cls).parameters]
    wanted = [(f"{cls.__module__}.{cls.__name__}", name) for cls, name in found]
    assert [row[:2] for row in ROWS] == wanted
    assert set(ONE_TOO_FAR) == {(cls.__name__, name) for cls in CLASSES for name in inspect.signature(cls).parameters}


def test_every_exported_module_is_made_by_one_of_them():
    assert {type(build()) for build in MODULES.values()} == {MuAxil, MuAxilAsync, EdmaAxil, Endpoint}


@pytest.mark.parametrize(("owner", "name", "default"), ROWS, ids=lambda text: text)
def test_default_is_the_one_of_the_table(owner, name, default):
    module, _, cls = owner.rpartition(".")
    found = inspect.signature(getattr(importlib.import_module(module), cls)).parameters[name].default
    if name == "bars":
        assert default == "five of 16 KiB, one of 64 KiB"
        assert found == DEFAULT_BARS == (*[Bar(16 << 10)] * 5, Bar(64 << 10))
    elif default:
        written = ast.literal_eval(default.strip("`"))
        assert (type(found), found) == (type(written), written)
    else:
        assert found is inspect.Parameter.empty


@pytest.mark.parametrize(
    ("cls", "name", "value"), TRIED, ids=[f"{cls.__name__}-{name}-{value!r:.30}" for cls, name, value in TRIED]
)
def test_what_is_not_allowed_is_refused_in_a_sentence(cls, name, value):
    with pytest.raises(ValueError, match=" ") as refused:
        cls(**{**LEAST.get(cls, {}), name: value})
    assert SENTENCE.fullmatch(str(refused.value)), refused.value
    if cls is EdmaShape:
        with pytest.raises(ValueError, match=re.escape(str(refused.value))):
            EdmaAxil(**{name: value})
