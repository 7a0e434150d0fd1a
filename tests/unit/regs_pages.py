# amaranth: UnusedElaboratable=no

"""The pages of registers that a walk goes through: what each register declares, and the RTL behind AXI4-Lite."""

import functools
import random
import re
from dataclasses import dataclass, field

from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.lib import wiring
from systemrdl.node import RegNode
from systemrdl.rdltypes.builtin_enums import AccessType, OnWriteType

import epbell_regs
from epbell import axil, csr
from epbell.edma import EdmaAxil
from epbell.endpoint import Endpoint
from epbell.mu import MuAxil, MuAxilAsync

ONES = 0xFFFF_FFFF
# All six windows are walked alone; in the endpoint, which takes longer to simulate, two of them will do.
FEW_WINDOWS = 2
# The channels of an eDMA are alike, and tests of the maps count them: a few are walked, of either direction.
FEW_CHANNELS = {"write_channels": 1, "read_channels": 2}
FEWER = {
    "iatu_outbound": {"windows": FEW_WINDOWS},
    **dict.fromkeys(("edma", "edma_doorbell", "hdma"), FEW_CHANNELS),
}


@dataclass
class Bits:
    """One field, as the tree declares it."""

    name: str
    low: int
    width: int
    kind: str  # constant, status, storage, w1c, w1s, action
    reset: int | None

    @property
    def mask(self):
        return ((1 << self.width) - 1) << self.low


@dataclass
class Register:
    """One register, as the tree declares it."""

    name: str
    address: int
    whole_word: bool
    fields: list[Bits] = field(default_factory=list)

    def mask(self, *kinds):
        return sum(bits.mask for bits in self.fields if bits.kind in kinds)

    @property
    def reset(self):
        return sum((bits.reset or 0) << bits.low for bits in self.fields if bits.kind != "action")

    @property
    def unknown(self):
        return sum(bits.mask for bits in self.fields if bits.kind == "status" and bits.reset is None)

    def after(self, value, data, strobes):
        """What the register holds after a write."""
        lanes = sum(0xFF << 8 * lane for lane in range(4) if strobes >> lane & 1)
        if self.whole_word and strobes != 0xF:
            lanes = 0
        storage, w1c, w1s = lanes & self.mask("storage"), lanes & self.mask("w1c"), lanes & self.mask("w1s")
        return (value & ~storage | data & storage) & ~(data & w1c) | data & w1s


def kind_of(node):
    sw, hw, onwrite = (node.get_property(name) for name in ("sw", "hw", "onwrite"))
    if sw is AccessType.w:
        return "action"
    if sw is AccessType.r:
        return "constant" if hw is AccessType.na else "status"
    return {None: "storage", OnWriteType.woclr: "w1c", OnWriteType.woset: "w1s"}[onwrite]


@functools.cache
def registers(block, **parameters):
    """All registers of a block by name."""
    found = {}
    for node in epbell_regs.load(block, **parameters).descendants(unroll=True):
        if isinstance(node, RegNode):
            name = "_".join(node.get_path_segments(array_suffix="{index:d}")[1:])
            found[name] = register = Register(name, node.absolute_address, node.get_property("accesswidth") == 32)
            for child in node.fields():
                register.fields.append(
                    Bits(child.inst_name, child.low, child.width, kind_of(child), child.get_property("reset"))
                )
    return found


class Port:
    """Software behind an AXI4-Lite port: one access at a time, every answer must be OKAY."""

    def __init__(self, bus, domain, base=0):
        self.bus, self.domain, self.base = bus, domain, base

    async def write(self, ctx, address, data, strobes=0xF):
        bus = self.bus
        # One assignment: the simulator settles the whole page after each.
        valid = Cat(bus.awvalid, bus.wvalid, bus.bready)
        together = Cat(valid, bus.wstrb, bus.wdata, bus.awaddr)
        ctx.set(together, 0b111 | strobes << 3 | data << 7 | self.base + address << 39)
        await self.until(ctx, bus.awready)
        ctx.set(valid, 0b100)
        (response,) = await self.until(ctx, bus.bvalid, bus.bresp)
        assert response == 0

    async def read(self, ctx, address):
        bus = self.bus
        valid = Cat(bus.arvalid, bus.rready)
        ctx.set(Cat(valid, bus.araddr), 0b11 | self.base + address << 2)
        await self.until(ctx, bus.arready)
        ctx.set(valid, 0b10)
        data, response = await self.until(ctx, bus.rvalid, bus.rdata, bus.rresp)
        assert response == 0
        return data

    async def until(self, ctx, condition, *signals):
        for _ in range(20):
            _, _, met, *values = await ctx.tick(self.domain).sample(condition, *signals)
            if met:
                return values
        raise AssertionError("no answer in 20 clocks")

    async def wait(self, ctx, clocks):
        for _ in range(clocks):
            await ctx.tick(self.domain)


class BlockPage:
    """The elaborated registers alone: the test is the hardware behind them."""

    domains = ("sync",)
    self_clearing = 0

    def __init__(self, block):
        self.registers = registers(block, **FEWER.get(block, {}))
        self.block = csr.Block(epbell_regs.load(block, **FEWER.get(block, {})))
        self.bridge = axil.Bridge(16)
        self.dut = Joined(self.bridge, self.block)
        self.port = Port(self.bridge.axil, "sync")

    def set_fields(self, ctx, register, kind, member, value):
        for bits in register.fields:
            if bits.kind == kind:
                ctx.set(getattr(self.block.field(register.name, bits.name), member), (value & bits.mask) >> bits.low)

    def prepare(self, ctx):
        for register in self.registers.values():
            self.set_fields(ctx, register, "status", "value", register.reset)

    async def settle(self, ctx):
        pass

    async def provoke(self, ctx, register):
        self.set_fields(ctx, register, "w1c", "set", ONES)
        await ctx.tick()
        self.set_fields(ctx, register, "w1c", "set", 0)

    async def extras(self, ctx, register, verdict):
        """What only a test in the place of the hardware can see."""
        rng = random.Random(register.name)
        rest = await self.port.read(ctx, register.address) & ~register.mask("status")
        for status in (ONES, 0, rng.getrandbits(32)):
            self.set_fields(ctx, register, "status", "value", status)
            expected = rest | status & register.mask("status")
            verdict.equal(await self.port.read(ctx, register.address), expected, "driven by hardware")
        self.set_fields(ctx, register, "w1s", "clear", ONES)
        await ctx.tick()
        self.set_fields(ctx, register, "w1s", "clear", 0)
        expected &= ~register.mask("w1s")
        verdict.equal(await self.port.read(ctx, register.address), expected, "cleared by hardware")
        self.prepare(ctx)
        await self.port.write(ctx, register.address, ONES)
        for other in self.registers.values():
            # An incomplete address decoder takes neighbours along: the next one, or one that differs in one bit.
            difference = other.address ^ register.address
            if difference.bit_count() == 1 or abs(other.address - register.address) == 4:
                verdict.equal(await self.port.read(ctx, other.address), other.reset, f"{other.name} must not change")


class Joined(Elaboratable):
    """A bridge and a register port behind it."""

    def __init__(self, bridge, target):
        self.bridge, self.target = bridge, target

    def elaborate(self, platform):
        m = Module()
        m.submodules.bridge, m.submodules.target = self.bridge, self.target
        wiring.connect(m, self.bridge.bus, self.target.bus)
        return m


class MuPage:
    """One side of a real Messaging Unit; the other side provokes what hardware alone can set."""

    def __init__(self, layout, side, synchronous):
        self.registers = registers(f"mu_{layout}")
        self.v2 = layout == "imx8ulp"
        unit = MuAxil(layout) if synchronous else MuAxilAsync(layout)
        self.dut = unit
        self.domains = ("sync",) if synchronous else ("a", "b")
        far = "b" if side == "a" else "a"
        self.port = Port(getattr(unit, f"{side}_axil"), "sync" if synchronous else side)
        self.far = Port(getattr(unit, f"{far}_axil"), "sync" if synchronous else far)
        # Events of one side reach the other, and the answer comes back.
        self.settling = 8 if synchronous else 40
        # MUR, by the documents: CR[0] in the newest layout, CR[5] in the older ones.
        self.mur = 0x01 if self.v2 else 0x20

    def prepare(self, ctx):
        pass

    async def settle(self, ctx):
        """In the two-clock build, EP and FUP tell what is on its way to the other side."""
        if len(self.domains) > 1:
            await self.port.wait(ctx, self.settling)

    async def provoke(self, ctx, register):
        if self.v2 and register.name == "SR":
            await self.far.write(ctx, 0x008, self.mur)
        elif self.v2:
            await self.far.write(ctx, 0x114, 0xF)
        else:
            await self.far.write(ctx, self.registers["CR"].address, 0xF << 16, 0b0100)
        await self.port.wait(ctx, self.settling)

    async def extras(self, ctx, register, verdict):
        if register.name == "CR":
            await self.port.write(ctx, register.address, ONES & ~self.mur)
            await self.port.write(ctx, register.address, self.mur, 0b0001)
            await self.port.wait(ctx, self.settling)
            verdict.equal(await self.port.read(ctx, register.address), register.reset, "MUR resets and clears itself")


class EdmaPage:
    """The page of an eDMA or HDMA, in the maps that its base and the viewport leave of it."""

    domains = ("sync",)

    def __init__(self, personality, base, *, doorbell_only=False):
        block = "edma_doorbell" if doorbell_only else "hdma" if personality == "hdma" else "edma"
        legacy = {"legacy": 1} if personality == "legacy" and not doorbell_only else {}
        self.doorbell_only = doorbell_only
        # In which the viewport shows a channel that is mapped elsewhere.
        self.bank = set(range(0x100, 0x124, 4)) if legacy else set()
        self.registers = registers(block, **FEW_CHANNELS, **legacy)
        self.dut = EdmaAxil(personality=personality, base=base, doorbell_only=doorbell_only, **FEW_CHANNELS)
        self.port = (BankedPort if legacy else Port)(self.dut.s_axil, "sync", base)

    def prepare(self, ctx):
        pass

    async def settle(self, ctx):
        pass

    async def extras(self, ctx, register, verdict):
        """What an end of a transfer sets, and nothing but INT_CLEAR clears; nothing in a page without transfers."""
        found = re.fullmatch(r"(WRITE|READ)_(CH(\d)_)?(INT_STAT|INT_STATUS|ERR_STATUS|ERR_STATUS_LOW)", register.name)
        if found is None:
            return
        way = {"WRITE": "wr", "READ": "rd"}[found[1]]
        channels = 1 if way == "wr" else 2
        ones = (1 << channels) - 1
        ctx.set(getattr(self.dut, f"{way}_done"), ones)
        ctx.set(getattr(self.dut, f"{way}_abort"), ones)
        await ctx.tick()
        ctx.set(getattr(self.dut, f"{way}_done"), 0)
        ctx.set(getattr(self.dut, f"{way}_abort"), 0)
        by_kind = {"INT_STAT": 0b101, "INT_STATUS": ones << 16 | ones}
        expected = 0 if self.doorbell_only else by_kind.get(found[4], ones)
        for _ in range(2):
            verdict.equal(await self.port.read(ctx, register.address), expected, "set by the end of a transfer")
            await self.port.write(ctx, register.address, ONES)
        for clear, rest in ((0, expected), (ONES, 0)):
            name = f"{found[1]}_{found[2] or ''}INT_CLEAR"
            await self.port.write(ctx, self.registers[name].address, clear)
            verdict.equal(await self.port.read(ctx, register.address), rest, f"{clear:#x} written to {name}")


class BankedPort(Port):
    """Software that reaches the channels of the legacy map through its viewport, as the map has them side by side."""

    async def write(self, ctx, address, data, strobes=0xF):
        await super().write(ctx, await self.select(ctx, address), data, strobes)
        await self.leave(ctx, address)

    async def read(self, ctx, address):
        data = await super().read(ctx, await self.select(ctx, address))
        await self.leave(ctx, address)
        return data

    async def select(self, ctx, address):
        """Turn the viewport to the channel that has an address, if one has; return where to find it."""
        if not 0x200 <= address < 0x200 + 0x200 * 8:
            return address
        channel, read = (address - 0x200) >> 9, address >> 8 & 1
        await super().write(ctx, 0x0FC, read << 31 | channel)
        return 0x100 | address & 0xFF

    async def leave(self, ctx, address):
        """Turn the viewport back."""
        if 0x200 <= address < 0x200 + 0x200 * 8:
            await super().write(ctx, 0x0FC, 0)


# Where the pages are, typed in from the address map of the endpoint.
ENDPOINT = {"mu_a": 0x5D27_0000, "mu_b": 0x5D30_0000, "controller": 0x5F01_0000, "iatu": 0x5F31_0000}


class EndpointPage(MuPage):
    """A page of the whole endpoint, through its CPU's bus, while the host is silent."""

    def __init__(self, page, names):
        self.registers = names
        self.dut = Endpoint(64, ram_size=4096, windows=FEW_WINDOWS, outbound_windows=FEW_WINDOWS)
        self.domains = ("sync",)
        self.port = Port(self.dut.cpu_axil, "sync", ENDPOINT[page])
        if page.startswith("mu_"):
            self.far = Port(self.dut.cpu_axil, "sync", ENDPOINT["mu_b" if page == "mu_a" else "mu_a"])
            self.v2, self.mur, self.settling = True, 0x01, 8

    async def provoke(self, ctx, register):
        """What the hard block tells: a function-level reset, from its begin to its end."""
        if register.name != "FUNCTION":
            await super().provoke(ctx, register)
            return
        ctx.set(self.dut.cfg_flr_in_process, 1)
        await self.port.until(ctx, self.dut.cfg_flr_done[0])
        ctx.set(self.dut.cfg_flr_in_process, 0)
        await self.port.wait(ctx, 4)

    async def extras(self, ctx, register, verdict):
        if register.name == "FEATURES":
            verdict.equal(
                await self.port.read(ctx, register.address),
                0x0904_0208,
                "64 bits, 2 windows, 4 vectors, guard, eDMA with one line",
            )
        elif register.name == "MSI_STATUS":
            room = await self.port.read(ctx, register.address) >> 8
            verdict.equal(0 < room < 64, True, "an empty queue has room, and nothing else is set")
        elif hasattr(self, "far"):
            await super().extras(ctx, register, verdict)


PAGES = {
    block: (registers(block, **FEWER.get(block, {})), functools.partial(BlockPage, block))
    for block in epbell_regs.blocks()
}
PAGES |= {
    f"endpoint-{page}": (names, functools.partial(EndpointPage, page, names))
    for page, names in (
        ("mu_a", registers("mu_imx8ulp")),
        ("mu_b", registers("mu_imx8ulp")),
        ("controller", registers("controller")),
        ("iatu", registers("iatu", windows=FEW_WINDOWS) | registers("iatu_outbound", windows=FEW_WINDOWS)),
    )
}
PAGES |= {
    f"{layout}-{side}-{kind}": (registers(f"mu_{layout}"), functools.partial(MuPage, layout, side, kind == "sync"))
    for layout in ("imx6sx", "imx7ulp", "imx8ulp")
    for side in "ab"
    for kind in ("sync", "async")
    # The two-clock build differs in what crosses, not in where the bits are: two of the layouts will do.
    if (kind, layout) != ("async", "imx7ulp")
}
PAGES |= {
    f"edma-{personality}-{base:#x}": (
        registers("hdma" if personality == "hdma" else "edma", **FEW_CHANNELS, **legacy),
        functools.partial(EdmaPage, personality, base),
    )
    for personality, base, legacy in (
        ("unroll", 0, {}),
        ("unroll", 0x8000, {}),
        ("legacy", 0x970, {"legacy": 1}),
        ("hdma", 0, {}),
    )
}
PAGES |= {
    f"edma-doorbell-{personality}": (
        registers("edma_doorbell", **FEW_CHANNELS),
        functools.partial(EdmaPage, personality, base, doorbell_only=True),
    )
    for personality, base in (("unroll", 0), ("legacy", 0x970))
}
