"""Faults of requests: what a hostile or broken host sends, on the link, or on the stream as no hard block would let it.

Expected are the answers of docs/endpoint.md, "What happens to a request". `epbell faults` runs them.
"""

from functools import partial

import pytest
from cocotbext.pcie.core.tlp import CplStatus, Tlp, TlpType

from epbell_models.platform import BusError
from epbell_tb.endpoint.drivers import memory_request
from epbell_tb.endpoint.edma import WRITE_STATUS
from epbell_tb.endpoint.fault_cases import tried
from epbell_tb.endpoint.fault_rig import BELLS, EDMA, IMAGE, KICK, RAM, SIZE, Fault
from epbell_tb.endpoint.raw_requests import MESSAGE, Raw, ask_raw, send_raw
from epbell_tb.endpoint.windows import Window, window_of

_HERE = IMAGE + SIZE + 0x200
_PAGE = 0x1000
_TARGETS = ((RAM, "RAM"), (BELLS, "doorbell"), (EDMA, "kick"))
_MEM_READ, _MEM_WRITE = 0, 1


def _address(rig, bar):
    """Return the address of RAM, or of a doorbell, that a fault in a BAR is about."""
    if bar == RAM:
        return rig.env.address(RAM, _HERE)
    return rig.address(KICK if bar == EDMA else rig.env.random.randrange(KICK))


def _words(rig, count):
    return [rig.env.random.getrandbits(32) for _ in range(count)]


def _write(rig, bar, name, count, changes, *, words=1, address=None, **enables):
    """Return the fault of a write on the stream."""
    address = _address(rig, bar) if address is None else address
    changes = {"bar": bar, **changes}

    async def inject():
        send_raw(rig.env, memory_request(address, rig.env.random.randbytes(4 * words), **enables), Raw(**changes))

    return Fault(name, inject, {count: 1} if count else {})


def _ask(rig, bar, name, count, changes, *, length=4, address=None):
    """Return the fault of a read, or of another request that asks for an answer, on the stream."""
    address = _address(rig, bar) if address is None else address
    changes = {"bar": bar, **changes}

    async def inject():
        status = await ask_raw(rig.env, memory_request(address, None, length), Raw(**changes))
        assert status == CplStatus.UR, f"the answer is {status.name}, not UR"

    return Fault(name, inject, {count: 1})


def _changed(request, **changes):
    copy = Tlp(request)
    for name, value in changes.items():
        setattr(copy, name, value)
    return copy


def _dropped(rig, name, make):
    """Return the fault of a packet on the link that the hard block drops as malformed."""

    async def inject():
        before = len(rig.env.block.malformed)
        await rig.env.memory.post(make())
        assert len(rig.env.block.malformed) == before + 1, "the hard block must drop it"

    return Fault(f"{name}, on the link", inject)


@tried(globals())
def lengths(rig):
    """Payload shorter or longer than the length, length 0 and 1024."""
    malformed = "MALFORMED"
    for bar, where in _TARGETS:
        yield _write(rig, bar, f"{where}: one dword of two", malformed, {"length": 2})
        yield _write(rig, bar, f"{where}: no payload", malformed, {"payload": []})
        yield _write(rig, bar, f"{where}: two dwords of one", malformed, {"length": 1, "payload": _words(rig, 2)})
        yield _write(rig, bar, f"{where}: forty dwords of one", malformed, {"length": 1, "payload": _words(rig, 40)})
        yield _write(rig, bar, f"{where}: length 0", malformed, {"length": 0})
        yield _write(rig, bar, f"{where}: one dword of 1024", malformed, {"length": 1024})
        yield _write(rig, bar, f"{where}: three dwords of four", malformed, {"length": 4, "payload": _words(rig, 3)})
        yield _ask(rig, bar, f"{where}: a read of length 0", malformed, {"length": 0})
        yield _ask(rig, bar, f"{where}: a read with payload", malformed, {"payload": _words(rig, 1)})
        at = _address(rig, bar)
        for name, length, size in (("one dword of two", 2, 4), ("two dwords of one", 1, 8), ("no payload", 1, 0)):
            data = rig.env.random.randbytes(size)
            yield _dropped(
                rig, f"{where}: {name}",
                lambda a=at, n=length, d=data: _changed(memory_request(a, bytes(4)), length=n, data=bytearray(d)),
            )  # fmt: skip
    much = memory_request(rig.address(0), bytes(256))
    yield _dropped(rig, "256 bytes with a maximum payload of 128", lambda: much)


@tried(globals())
def headers(rig):
    """3 dwords of header for 64-bit addresses, 4 for 32-bit ones."""
    env = rig.env

    def nowhere(name, request):
        async def inject():
            before = len(env.block.dropped)
            await env.block.upstream_recv(request)  # no root port would forward it
            assert len(env.block.dropped) == before + 1, "no BAR must claim it"

        return Fault(name, inject)

    def obeyed(name, request, number):
        async def inject():
            await env.memory.post(request)

        return Fault(name, inject, rings={} if number is None else {number: 1})

    for bar, where in _TARGETS:
        at = _address(rig, bar)
        number = {RAM: None, EDMA: KICK}.get(bar, (at - rig.address(0)) // 4)
        long = memory_request(at, env.random.randbytes(4), kind=TlpType.MEM_WRITE_64)
        # Of a receiver nothing is asked (PCI Express, 2.2.4.1); the address is right, and the stream has no headers.
        yield obeyed(f"{where}: 4 dwords of header below 4 GiB", long, number)
        yield nowhere(f"{where}: 4 dwords, upper half not 0", _changed(long, address=at | 1 << 40))
        short = memory_request(at ^ 1 << 31, env.random.randbytes(4))
        yield nowhere(f"{where}: 3 dwords, half of a 64-bit address", short)


@tried(globals())
def mismatch(rig):
    """BAR number and address disagree; BARs that do not exist; other functions."""
    env = rig.env
    bell, kick, ram = (_address(rig, bar) for bar in (BELLS, EDMA, RAM))
    writes, reads = "WRITES_REFUSED", "READS_REFUSED"
    for name, at in (("doorbell", bell), ("kick", kick)):
        yield _write(rig, RAM, f"{name}'s address, the RAM's BAR", "", {}, address=at)
        for bar in (6, 7):
            yield _write(rig, bar, f"{name}'s address, BAR {bar}", writes, {}, address=at)
            yield _ask(rig, bar, f"{name}'s address, read, BAR {bar}", reads, {}, address=at)
        for function in (1, 7):
            bar = BELLS if at == bell else EDMA
            yield _write(rig, bar, f"{name}, function {function}", writes, {"function": function}, address=at)
            yield _ask(rig, bar, f"{name}, read, function {function}", reads, {"function": function}, address=at)
    for function in (1, 7):
        one = _write(rig, RAM, f"RAM, a window for all functions, function {function}", writes, {"function": function})
        yield Fault(one.name, partial(_to_every_function, rig, one.inject), one.counts)
    # The number says which BAR, and the address where in it: what is there is no doorbell.
    yield _write(rig, EDMA, "the RAM's address, the eDMA's BAR", writes, {}, address=ram)
    yield _ask(rig, EDMA, "the RAM's address, read, the eDMA's BAR", reads, {}, address=ram)
    yield _write(rig, EDMA, "the doorbell's address, the eDMA's BAR", writes, {}, address=bell)
    past = env.address(BELLS, env.bar_sizes[BELLS])
    yield _write(rig, BELLS, "beyond the BAR, where no doorbell is", "", {}, address=past)
    yield _write(rig, EDMA, "beyond the BAR, where no kick is", writes, {}, address=env.address(EDMA, 1 << 20))
    number = env.random.randrange(KICK)
    far = rig.address(number) & env.bar_sizes[BELLS] - 1 | 0xDEAD_0000_0000_0000
    ring = _write(rig, BELLS, "anywhere, at the doorbell's offset of its BAR", "", {}, address=far)
    yield Fault(ring.name, ring.inject, rings={number: 1})


async def _to_every_function(rig, inject):
    """Let the RAM's window match any function, and inject; there is none but the first all the same."""
    number, target = await window_of(rig.env, RAM)
    await Window(rig.env, number).bar(RAM, target)
    await inject()


def _spoiled_writes(rig, count, send):
    for bar, where in _TARGETS:
        at = _address(rig, bar)
        for size in (4, 8, 64):

            async def inject(at=at, size=size, bar=bar):
                await send(memory_request(at, rig.env.random.randbytes(size)), bar)

            yield Fault(f"{where}: {size} bytes", inject, {count: 1})


@tried(globals())
def poisoned(rig):
    """EP is set."""

    async def send(request, _):
        request.ep = True
        await rig.env.memory.post(request)

    yield from _spoiled_writes(rig, "DISCONTINUED", send)
    for bar, where in _TARGETS:
        request = memory_request(_address(rig, bar), bytes(4), kind=TlpType.FETCH_ADD)
        request.ep = True

        async def inject(request=request, bar=bar):
            assert await rig.env.ask(request, bar) == CplStatus.UR

        yield Fault(f"{where}: FetchAdd", inject, {"DISCONTINUED": 1})


@tried(globals())
def discontinued(rig):
    """Say that there was an ECRC or parity error."""

    async def send(request, bar):
        send_raw(rig.env, request, Raw(bar, discontinue=True))

    yield from _spoiled_writes(rig, "DISCONTINUED", send)
    for bar, where in _TARGETS:
        yield _ask(rig, bar, f"{where}: a read", "DISCONTINUED", {"discontinue": True})
        # Counted once, as what comes first.
        yield _write(rig, bar, f"{where}: one dword of two", "DISCONTINUED", {"discontinue": True, "length": 2})


@tried(globals())
def unsupported(rig):
    """I/O, configuration, atomics, locked reads, messages, reserved kinds."""
    asking = {
        **{"I/O read": (2, 0), "I/O write": (3, 1), "FetchAdd": (4, 1), "Swap": (5, 2), "CAS": (6, 4)},
        **{"locked read": (7, 0), "configuration read 0": (8, 0), "configuration read 1": (9, 0)},
        **{"configuration write 0": (10, 1), "configuration write 1": (11, 1)},
    }
    for bar, where in _TARGETS:
        for name, (kind, count) in asking.items():
            changes = {"kind": kind, "length": count or 1, "payload": _words(rig, count)}
            yield _ask(rig, bar, f"{where}: {name}", "UNSUPPORTED", changes)
        for kind in range(MESSAGE, 16):
            name = "reserved kind" if kind == 15 else f"message {kind}"
            for count in (0, 4):
                changes = {"kind": kind, "length": count, "payload": _words(rig, count)}
                yield _write(rig, bar, f"{where}: {name} with {count} dwords", "UNSUPPORTED", changes)


@tried(globals())
def boundaries(rig):
    """Read and write across 4 KiB and across a BAR's end."""
    env = rig.env
    for bar, where in _TARGETS:
        last = env.address(bar, _PAGE - 4)
        yield _write(rig, bar, f"{where}: a write across 4 KiB", "WRITES_REFUSED", {}, words=2, address=last)
        yield _ask(rig, bar, f"{where}: a read across 4 KiB", "READS_REFUSED", {}, length=8, address=last)
        end = env.address(bar, env.bar_sizes[bar] - 4)
        yield _write(rig, bar, f"{where}: a write across the BAR's end", "WRITES_REFUSED", {}, words=3, address=end)
        yield _ask(rig, bar, f"{where}: a read across the BAR's end", "READS_REFUSED", {}, length=12, address=end)
        yield _dropped(rig, f"{where}: a write across 4 KiB", lambda at=last: memory_request(at, bytes(8)))

        async def read(at=last):
            before = len(env.block.malformed)
            env.memory.completion_timeout = 2000
            with pytest.raises(BusError, match="TIMEOUT"):
                await env.memory.ask(memory_request(at, None, 8))
            env.memory.completion_timeout = 1_000_000
            assert len(env.block.malformed) == before + 1, "the hard block must drop it"

        yield Fault(f"{where}: a read across 4 KiB, on the link", read)


@tried(globals())
def enables(rig):
    """Byte enables that are none, have gaps, or are not allowed (PCI Express, 2.2.5)."""
    for first in (0x0, 0x1, 0x6, 0x7, 0x9, 0xE):
        # Less than a word does not ring, whatever is said of a last dword that is not there.
        for last in (0x0, 0xF):
            what = f"doorbell: first {first:#x}, last {last:#x} of one dword"
            yield _write(rig, BELLS, what, "", {}, first_be=first, last_be=last)
    for first, last in ((0x0, 0x0), (0x5, 0xA), (0x7, 0xE), (0xE, 0x0)):
        what = f"first {first:#x}, last {last:#x} of two dwords"
        given = {"words": 2, "first_be": first, "last_be": last}
        yield _write(rig, BELLS, f"doorbell: {what}", "", {}, address=rig.address(0), **given)
        yield _write(rig, EDMA, f"kick: {what}", "WRITES_REFUSED", {}, **given)
        yield _write(rig, RAM, f"RAM: {what}", "", {}, **given)
    for last in (0x0, 0x3):
        yield _write(rig, EDMA, f"kick: first 0x0, last {last:#x}", "", {}, first_be=0x0, last_be=last)
    status = rig.edma.address(WRITE_STATUS)
    yield _write(rig, EDMA, "the other status word: first 0x0", "", {}, address=status, first_be=0x0)
