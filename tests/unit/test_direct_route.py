"""The way of the host's memory requests past the root complex's switch, with stubs at its ends."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from cocotbext.pcie.core.tlp import Tlp, TlpType

from epbell_tb.endpoint.hard_block import direct_route

MEMORY = (0x8000_0000, 0x8010_0FFF)
PREFETCHABLE = (0x12_0000_0000, 0x12_0FFF_FFFF)
REQUESTS = [TlpType.MEM_READ, TlpType.MEM_READ_64, TlpType.MEM_WRITE, TlpType.MEM_WRITE_64]


class Ends:
    """A root complex with two hops, and the port below: where a packet came out."""

    def __init__(
        self, upstream: tuple[bool, bool] = (False, False), downstream: tuple[bool, bool] = (False, False)
    ) -> None:
        self.routed: list[Tlp] = []
        self.received: list[Tlp] = []
        self.hops = [_hop(*upstream), _hop(*downstream)]
        bridge = self.hops[1]
        bridge.mem_base, bridge.mem_limit = MEMORY
        bridge.prefetchable_mem_base, bridge.prefetchable_mem_limit = PREFETCHABLE
        self.root = SimpleNamespace(send=_into(self.routed), upstream_bridge=self.hops[0])
        direct_route(self.root, bridge, SimpleNamespace(rx_handler=_into(self.received)))

    def send(self, *packets: Tlp) -> None:
        async def all_of_them() -> None:
            for packet in packets:
                await self.root.send(packet)

        asyncio.run(all_of_them())

    @property
    def errors(self) -> list[tuple[bool, bool]]:
        return [(hop.master_data_parity_error, hop.sec_master_data_parity_error) for hop in self.hops]


def _hop(primary: bool, secondary: bool) -> Any:
    return SimpleNamespace(
        parity_error_response_enable=primary,
        bridge_parity_error_response_enable=secondary,
        master_data_parity_error=False,
        sec_master_data_parity_error=False,
    )


def _into(packets: list[Tlp]) -> Any:
    async def take(packet: Tlp) -> None:
        packets.append(packet)

    return take


def packet(kind: TlpType, address: int, *, poisoned: bool = False) -> Tlp:
    tlp = Tlp()
    tlp.fmt_type, tlp.address, tlp.ep = kind, address, poisoned
    return tlp


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("address", [*MEMORY, 0x8000_4000, *PREFETCHABLE])
def test_what_a_root_port_forwards_goes_straight_to_the_port(kind: TlpType, address: int) -> None:
    ends, sent = Ends(), packet(kind, address)
    ends.send(sent)
    assert (ends.received, ends.routed) == ([sent], [])


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("address", [0, MEMORY[0] - 1, MEMORY[1] + 1, PREFETCHABLE[0] - 1, PREFETCHABLE[1] + 1])
def test_what_it_does_not_forward_takes_the_stock_way(kind: TlpType, address: int) -> None:
    ends, sent = Ends((True, True), (True, True)), packet(kind, address, poisoned=True)
    ends.send(sent)
    assert (ends.received, ends.routed) == ([], [sent])
    assert ends.errors == [(False, False)] * 2, "the stock way sets what it has to"


@pytest.mark.parametrize("kind", [kind for kind in TlpType if kind not in REQUESTS])
def test_other_packets_take_the_stock_way(kind: TlpType) -> None:
    ends, sent = Ends(), packet(kind, MEMORY[0])
    ends.send(sent)
    assert (ends.received, ends.routed) == ([], [sent])


def test_nothing_is_overtaken() -> None:
    ends = Ends()
    sent = [packet(kind, MEMORY[0] + 4 * n) for n, kind in enumerate(REQUESTS * 3)]
    ends.send(*sent)
    assert ends.received == sent


@pytest.mark.parametrize("number", range(4))
def test_a_poisoned_request_is_noted_where_the_host_asked_for_it(number: int) -> None:
    """Master Data Parity Error of each hop, on each side, if Parity Error Response is on there, and until cleared."""
    enables = [number == bit for bit in range(4)]
    ends = Ends((enables[0], enables[1]), (enables[2], enables[3]))
    ends.send(packet(TlpType.MEM_WRITE, MEMORY[0]))
    assert ends.errors == [(False, False)] * 2
    expected = [(enables[0], enables[1]), (enables[2], enables[3])]
    ends.send(packet(TlpType.MEM_WRITE, MEMORY[0], poisoned=True))
    assert ends.errors == expected
    ends.send(packet(TlpType.MEM_WRITE, MEMORY[0]))
    assert ends.errors == expected
    assert len(ends.received) == 3
