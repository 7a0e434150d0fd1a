"""Two stock kernels on both sides of a bridge: content with a good one, not with one whose doorbell is never heard.

Every test boots two guests.
"""

import pytest

from epbell_models import devicetree
from epbell_tb.guest.ntb_run import NtbSetup, run
from epbell_tb.guest.ntb_test import TESTS
from epbell_tb.guest.two_guests import PlainGuests
from epbell_tb.guest.vntb_guests import VntbGuests

pytestmark = pytest.mark.guest

LINKED = ["ntb.host.LINK_UP", "ntb.peer.LINK_UP"]


def results(name, bridge, **options):
    """Run both guests; return whether nothing failed, what passed, and every line."""
    lines = []
    setup = NtbSetup(f"test-ntb-{name}", name, **{"size": 10_000, "pings": 3, "limit": 120.0} | options)
    good = run(setup, bridge, lines.append)
    print("\n".join(lines))
    return good, sorted(line.split()[2] for line in lines if line.startswith("ok ")), lines


def test_a_plain_bridge():
    good, passed, lines = results("plain", PlainGuests((128 << 10,)))
    assert good
    assert passed == sorted(TESTS)
    assert any("peer got" in line and line.endswith("of 10000 bytes") for line in lines)


def test_a_plain_bridge_that_loses_every_doorbell_of_the_host():
    def deafen(host, peer):
        peer.deaf = True

    good, passed, _ = results("deaf", PlainGuests((128 << 10,), deafen), patience=3)
    assert not good
    assert passed == LINKED


@pytest.mark.parametrize(
    ("tree", "backend"), [("imx8", "mu"), ("imx8-edma", "edma"), ("msi-enomem", "polling (Failed to allocate MSI")]
)
def test_the_endpoint(tree, backend):
    good, passed, lines = results(tree, VntbGuests(devicetree.builtin(tree)))
    assert good
    assert passed == sorted(TESTS)
    assert any(line.startswith(f"# doorbell {backend}") for line in lines)


def test_a_doorbell_that_never_asserts():
    def silence(endpoint):
        endpoint.board.link.irq_mu.drive = lambda level: None

    good, passed, _ = results("silent", VntbGuests(devicetree.builtin("imx8"), silence), patience=3)
    assert not good
    assert passed == LINKED


def test_a_flipped_bit_in_what_the_peer_gets():
    """IP's checksums notice: nothing comes through."""

    def flip(endpoint):
        bus = endpoint.board.link.cpu
        read = bus.read

        async def flipped(address, length):
            data = await read(address, length)
            return bytes([data[0] ^ 0x20, *data[1:]]) if length > 64 else data

        bus.read = flipped

    good, passed, _ = results("flipped", VntbGuests(devicetree.builtin("imx8"), flip), patience=3)
    assert not good
    assert passed == LINKED
