"""The RTL as a guest's PCI device, broken in one place between its pins and guest or CPU: EPBELL_BROKEN says where."""

import os

import cocotb

from epbell_models.platform import DrivenIrqLine
from epbell_tb.benches import endpoint_guest
from epbell_tb.guest.port import MESSAGES
from epbell_tb.guest.rtl_endpoint import RtlEndpoint
from epbell_tb.guest.rtl_env import GuestEnv

PATTERN, CHECKSUM = 0x7C, 0x20


class DeafHost:
    """A guest that no interrupt message reaches."""

    def __init__(self, guest):
        self.read, self.intx, self._write = guest.read, guest.intx, guest.write

    def write(self, address, data):
        if address not in MESSAGES:
            self._write(address, data)


class NoMessages(GuestEnv):
    """No MSI and no MSI-X arrives."""

    def __init__(self, dut, guest, **options):
        super().__init__(dut, DeafHost(guest), **options)


class SilentDoorbell(GuestEnv):
    """The Messaging Unit's line never rises at the CPU."""

    def new_software(self, **options):
        self.irq_mu = DrivenIrqLine(self.platform)
        return super().new_software(**options)


class Flipping(RtlEndpoint):
    """One bit of one dword of a BAR reads wrong."""

    bar, offset = 1, PATTERN

    async def memory_read(self, address, length):
        data = await super().memory_read(address, length)
        wrong = address == self.bar_address(self.bar) + self.offset
        return bytes([data[0] ^ 1 << 5, *data[1:]]) if wrong else data


class WrongChecksum(Flipping):
    """The checksum of what the endpoint has written reads wrong."""

    bar, offset = 0, CHECKSUM


BROKEN = {
    "bit": {"endpoint_of": Flipping},
    "checksum": {"endpoint_of": WrongChecksum},
    "messages": {"env_of": NoMessages},
    "doorbell": {"env_of": SilentDoorbell},
}


@cocotb.test()
async def broken_guest(dut):
    await endpoint_guest.serve_guest(dut, **BROKEN[os.environ["EPBELL_BROKEN"]])
