"""Scenarios of what goes wrong on the link: bad completions, poisoned and malformed packets, what the host is told."""

import cocotb
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpAttr, TlpTc, TlpType
from cocotbext.pcie.core.utils import PcieId

from epbell_models.platform import BusError
from epbell_models.reference.outbound import Cause
from epbell_tb.endpoint.bad_completions import changed, without_data
from epbell_tb.endpoint.bring_up import scenario
from epbell_tb.endpoint.doorbells import VECTORS, open_doorbells
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.host_errors import CORRECTABLE, FATAL, NONFATAL, REQUESTS, ErrorRegisters
from epbell_tb.endpoint.upstream.silent_errors import ERR_COR, ERR_FATAL, ERR_NONFATAL, Error

_BAR, _BELLS = 4, 2
_HOST = PcieId(0, 0, 0)
_SENT = 200
"""Clocks after which everything that was sent has been taken note of."""

_STATUS_PARITY, _STATUS_MASTER_ABORT, _STATUS_TARGET_ABORT = 0x8000, 0x2000, 0x1000


class _Reads:
    """Reads of the CPU, one at a time, whose completions the scenario makes."""

    def __init__(self, env, mapping, base, image):
        self.env, self.base = env, base
        self._mapping, self._image = mapping, image
        self._seen = 0

    async def good(self):
        """See that a read is answered right, and that the controller page tells of no failure."""
        start = 4 * self.env.random.randrange(len(self._image) // 4)
        data = await self.env.cpu.read(self._mapping.address + start, 4)
        assert data == self._image[start : start + 4], "the read after a failure brings something else"
        assert await self.env.counters.read("OUTBOUND_CAUSE") == Cause.NONE

    async def fails(self, cause, *spoiled):
        """Answer a read with these completions instead; it must fail for this reason, which can be cleared."""
        env = self.env
        where = self._mapping.address + 8
        failed = await env.counters.read("OUTBOUND_FAILED")
        env.to_host.spoil = lambda completion: [spoil(completion) for spoil in spoiled]
        status = ""
        try:
            await env.cpu.read(where, 4)
        except BusError as error:
            status = error.status
        env.to_host.spoil = None
        assert status == "CA", f"the CPU got {status or 'no error'} instead of SLVERR"
        assert await env.counters.read("OUTBOUND_CAUSE") == cause
        assert await env.counters.read("OUTBOUND_ADDRESS") == where
        assert await env.counters.read("OUTBOUND_FAILED") == failed + 1
        await env.counters.write("OUTBOUND_CAUSE", 0)
        await self.good()


async def _prepare(env):
    memory = env.to_host.memory
    image = env.random.randbytes(0x40)
    base = memory.allocate(len(image), 8)
    memory.poke(base, image)
    mapping = await env.software.epc.mem_map(base, len(image))
    assert not isinstance(mapping, int)
    return _Reads(env, mapping, base, image)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def completions_that_are_no_good(env):
    """Answer reads with every kind of bad completion, or none: SLVERR, cause, address; the next read is good."""
    reads = await _prepare(env)
    await reads.good()
    await reads.fails(Cause.UNSUPPORTED, without_data(CplStatus.UR))
    await reads.fails(Cause.ABORTED, without_data(CplStatus.CA))
    await reads.fails(Cause.POISONED, changed(ep=True))
    await reads.fails(Cause.UNEXPECTED, without_data(CplStatus.CRS))
    await reads.fails(Cause.UNEXPECTED, without_data())
    await reads.fails(Cause.UNEXPECTED, changed(data=bytearray(8), length=2, byte_count=8))
    await reads.fails(Cause.TIMEOUT)
    # Of another attribute or traffic class it is not the read's, which ends when its time is over.
    await reads.fails(Cause.TIMEOUT, changed(tc=TlpTc.TC3))
    await reads.fails(Cause.TIMEOUT, changed(attr=TlpAttr.NS))
    # The same, but the right one follows.
    env.to_host.spoil = lambda completion: [changed(tc=TlpTc.TC1)(completion), completion]
    await reads.good()
    env.to_host.spoil = None
    # Completions that nobody waits for, with every tag: the first one's is free again, too.
    for tag in range(32):
        stray = Tlp.create_completion_data_for_tlp(memory_request(reads.base, None, 4), _HOST)
        stray.requester_id, stray.tag = env.block.functions[0].pcie_id, tag
        stray.set_data(env.random.randbytes(4))
        stray.byte_count, stray.lower_address = 4, reads.base & 0x7F
        await env.root.send(stray)
    for _ in range(40):
        await reads.good()


@cocotb.test(timeout_time=2000, timeout_unit="us")
@scenario()
async def errors_are_told(env):
    """See Device Status, AER and error messages after each error that the hard block sees; the next ring works."""
    doorbells = await open_doorbells(env, _BELLS)
    reads = await _prepare(env)
    errors = ErrorRegisters(env.device, env.function)
    await errors.read()
    await errors.enable(0)

    async def told(error, device, codes, *, advisory=False, status=0):
        await env.clocks(_SENT)
        found = await errors.read()
        assert found.uncorrectable == 1 << error.bit, f"AER {found.uncorrectable:#x} after {error}"
        assert found.device == device, f"Device Status {found.device:#x} after {error}"
        assert found.status == status, f"Status {found.status:#x} after {error}"
        assert bool(found.correctable) == advisory
        assert found.first == error.bit
        assert env.to_host.errors == codes
        env.to_host.errors.clear()
        again = await errors.read()
        left = again.device | again.uncorrectable | again.correctable | again.status
        assert not left, f"what cannot be cleared: {again}"
        await doorbells.good_ring(env.random.randrange(VECTORS))
        return found

    nowhere = await _hole(env)
    for enables, wanted in ((0, False), (CORRECTABLE | NONFATAL | FATAL | REQUESTS, True)):
        await errors.enable(enables, advisory=True)
        await env.memory.write32(nowhere, 0x1234)
        found = await told(Error.UNSUPPORTED, NONFATAL | REQUESTS, [ERR_NONFATAL] * wanted)
        assert found.header[2] == nowhere
        await _refused(env, nowhere)
        await told(Error.UNSUPPORTED, CORRECTABLE | REQUESTS, [ERR_COR] * wanted, advisory=True)
        # The endpoint's own refusal.
        atomic = memory_request(env.address(_BAR), bytes(4), kind=TlpType.FETCH_ADD)
        assert await env.ask(atomic, _BAR) == CplStatus.UR
        found = await told(Error.UNSUPPORTED, CORRECTABLE | REQUESTS, [ERR_COR] * wanted, advisory=True)
        assert found.header == _logged(atomic)
        request = memory_request(env.address(_BAR), bytes(4))
        request.ep = True
        await env.memory.post(request)
        await told(Error.POISONED, NONFATAL, [ERR_NONFATAL] * wanted, status=_STATUS_PARITY)
        await reads.fails(Cause.UNSUPPORTED, without_data(CplStatus.UR))
        await reads.fails(Cause.ABORTED, without_data(CplStatus.CA))
        await reads.fails(Cause.TIMEOUT)
        status = _STATUS_MASTER_ABORT | _STATUS_TARGET_ABORT
        await told(Error.COMPLETION_TIMEOUT, NONFATAL, [ERR_NONFATAL] * wanted, status=status)


def _logged(request):
    """Return the header log of a request."""
    packed = bytes(request.pack_header()).ljust(16, b"\0")
    return tuple(int.from_bytes(packed[at : at + 4], "big") for at in range(0, 16, 4))


async def _hole(env):
    """Return an address that is routed to the endpoint and in none of its BARs."""
    ends = [resource.address + resource.size for resource in env.device.resources if resource]
    return max(ends) + 0x1000


async def _refused(env, address):
    status = ""
    try:
        await env.memory.read32(address)
    except BusError as error:
        status = error.status
    assert status == "UR", f"a read at {address:#x} ends with {status or 'success'}"


@cocotb.test(timeout_time=800, timeout_unit="us")
@scenario()
async def malformed_and_poisoned_requests(env):
    """Send malformed requests, which the hard block drops and tells of, and poisoned ones: none rings or writes."""
    doorbells = await open_doorbells(env, _BELLS)
    errors = ErrorRegisters(env.device, env.function)
    await errors.enable(FATAL | NONFATAL)
    await errors.read()
    image = env.random.randbytes(0x100)
    await env.memory.write(env.address(_BAR), image)
    bell, ram = doorbells.address(1), env.address(_BAR)
    requests = [
        changed(length=2)(memory_request(bell, bytes(4))),
        changed(length=1)(memory_request(bell, bytes(8))),
        changed(data=bytearray())(memory_request(bell, bytes(4))),
        memory_request(ram, bytes(256)),
        memory_request(ram + 0xFFC, bytes(8)),
    ]
    for number, request in enumerate(requests):
        await env.memory.post(request)
        await doorbells.silent("a malformed request")
        assert len(env.block.malformed) == number + 1
        found = await errors.read()
        assert (found.device, found.uncorrectable) == (FATAL, 1 << Error.MALFORMED.bit)
        assert found.header[2] == request.address
    assert env.to_host.errors == [ERR_FATAL] * len(requests)
    for length in (4, 8, 64):
        for address in (bell, ram):
            await env.memory.post(changed(ep=True)(memory_request(address, env.random.randbytes(length))))
            await doorbells.silent("a poisoned request")
    assert env.to_host.errors[len(requests) :] == [ERR_NONFATAL] * 6
    assert (await env.memory.read(ram, 0x100))[64:] == image[64:]
    for vector in range(VECTORS):
        await doorbells.good_ring(vector)
