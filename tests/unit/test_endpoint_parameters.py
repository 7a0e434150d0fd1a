# amaranth: UnusedElaboratable=no
"""Wrong parameters are refused at construction, in a sentence that names the value."""

from collections.abc import Callable
from typing import Any

import pytest

from epbell.address_map import AddressMap, HostPage
from epbell.bar import DEFAULT_BARS, Bar, FixedBar, check_bars
from epbell.endpoint import Endpoint
from epbell.inbound import Inbound
from epbell.msi import HardMsi, MsiSender
from epbell.pcie import usp
from epbell.pcie.queue import Credits, Queue
from epbell.pcie.read import ReadEngine
from epbell.pcie.read_layout import read_request_layout
from epbell.ram import Ram
from epbell.registers import RegisterPages
from epbell.share import Share


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"width": 96}, "64, 128, 256 or 512 bits, not 96"),
        ({"width": 64, "windows": 0}, "1 to 16, not 0"),
        ({"width": 64, "windows": 17}, "1 to 16, not 17"),
        ({"width": 64, "ram_size": 5000}, "power of two from 4 KiB to 1 GiB, not 5000"),
        ({"width": 64, "layout": "imx95"}, "'imx95'"),
        ({"width": 64, "bars": ()}, "at least one BAR"),
        ({"width": 64, "bars": (*DEFAULT_BARS, None)}, "at most six BARs, not 7"),
        ({"width": 64, "reads": 33}, "1 to 32, not 33"),
        ({"width": 64, "patience": 0}, "1 clock or more, not 0"),
        ({"width": 64, "fixed_bar": 6}, "one of the BARs 0, 1, 2, 3, 4, 5, not 6"),
        ({"width": 64, "fixed_bar": True}, "one of the BARs 0, 1, 2, 3, 4, 5, not True"),
        ({"width": 64, "fixed_bar": 1, "bars": (Bar(4096, wide=True), None, Bar(4096))}, "the BARs 0, 2, not 1"),
        ({"width": 64, "fixed_bar": 0, "bars": (Bar(2048),)}, "at least 4 KiB .* not Bar.size=2048"),
        ({"width": 64, "aperture": 1 << 15}, "aperture must be a power of two from 64 KiB .*, not 32768"),
        ({"width": 64, "address_map": AddressMap(outbound=0x70010000)}, "its size 0x10000000, not 0x70010000"),
        ({"width": 64, "address_map": AddressMap(edma=0x70010000)}, "'edma' must be outside the aperture"),
        ({"width": 64, "address_map": AddressMap(ram=0x70200000)}, "aperture at 0x70000000, not at 0x70200000"),
        ({"width": 64, "flr_timeout": 1}, "done after 2 to 16777216 clocks, not 1"),
        ({"width": 64, "outbound_windows": 17}, "outbound windows must be 1 to 16, not 17"),
        ({"width": 64, "outbound_reads": 33}, "1 to 32, not 33"),
        ({"width": 64, "address_map": AddressMap(ram=0x60010000)}, "multiple of its size 0x200000, not 0x60010000"),
    ],
)
def test_endpoint(parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Endpoint(**parameters)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Bar(100), "128 bytes to 2 GiB, not 100"),
        (lambda: Bar(64), "128 bytes to 2 GiB, not 64"),
        (lambda: check_bars((Bar(128, wide=True), Bar(128))), "64-bit BAR 0 holds its upper half"),
        (lambda: check_bars((*([None] * 5), Bar(128, wide=True))), "64-bit BAR 5"),
        (lambda: AddressMap(mu_a=0x1234), r"'mu_a' must be a multiple of 64 KiB below 2\*\*32, not 0x1234"),
        (lambda: AddressMap(mu_a=1 << 32), r"'mu_a' must be a multiple of 64 KiB below 2\*\*32, not 0x100000000"),
        (lambda: AddressMap(mu_b=1 << 64), r"'mu_b' must be a multiple of 64 KiB below 2\*\*64, not 0x1(0{16})$"),
        (lambda: AddressMap(iatu=0x5D270000), "'iatu' and 'mu_a' must have different base addresses"),
        (lambda: AddressMap(iatu=0x60010000).check_ram(2 << 20), "'iatu' must be outside the RAM"),
        (lambda: Share(0), "1 clock or more, not 0"),
        (lambda: Ram(3, 4096), "2, 4, 8 or 16, not 3"),
        (lambda: Ram(4, 16), "at least 32 bytes, not 16"),
        (lambda: Queue(read_request_layout(19, 1), 0), "1 or more, not 0"),
        (lambda: Credits(0), "1 to 32, not 0"),
        (lambda: ReadEngine(5, 19, 1), "2, 4, 8 or 16, not 5"),
        (lambda: ReadEngine(4, 13, 1), "14 bits or more, not 13"),
        (lambda: ReadEngine(4, 14, 0), "at least one register page, not 0"),
        (lambda: MsiSender(0), "1 to 63, not 0"),
        (lambda: RegisterPages(("mu_a",), ("mu_b",)), "one of mu_a, not 'mu_b'"),
        (lambda: RegisterPages(("edma", "mu_b"), ("mu_b",), aside=("edma",)), "one of mu_b, not 'edma'"),
        (lambda: HostPage(0, (0x4C, 0xA2)), "multiple of 4 within its page of 64 KiB, not at 162"),
        (lambda: HostPage(0, (0x10000,)), "multiple of 4 within its page of 64 KiB, not at 65536"),
        (lambda: Inbound(DEFAULT_BARS, 6, FixedBar(7, 0)), "one of the BARs 0, 1, 2, 3, 4, 5, not 7"),
    ],
)
def test_blocks(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_bars_are_padded() -> None:
    assert check_bars((Bar(128),)) == (Bar(128), None, None, None, None, None)


def test_signatures_compare_by_their_parameters() -> None:
    assert usp.CompleterRequest(64) == usp.CompleterRequest(64)
    assert usp.CompleterRequest(64) != usp.CompleterRequest(128)
    assert usp.CompleterRequest(64) != usp.CompleterCompletion(64)
    assert repr(usp.CompleterCompletion(512)) == "usp.CompleterCompletion(width=512)"
    assert HardMsi() == HardMsi()
    assert len({HardMsi(), HardMsi(), usp.CompleterRequest(64), usp.CompleterRequest(64)}) == 2
