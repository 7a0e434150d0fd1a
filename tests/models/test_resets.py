"""Resets and power states of the function: the host's sequences, what both ends make of them, no stale interrupt."""

import errno
from dataclasses import replace

import pytest

from epbell_models import devicetree
from epbell_models.host.resets import D0, D3HOT
from epbell_models.reference.bridge import ReferenceBridge
from epbell_models.reference.capabilities import MsiCapability, MsixCapability, PciExpressCapability, PowerCapability
from epbell_models.reference.config_space import ConfigSpace
from epbell_models.selftest.model import ModelTarget

ENABLE, DISABLE = 1 << 6, 1 << 7
RAISED, RUNG = 1 << 6, 1 << 9
ENABLED, DISABLED = 1 << 10, 1 << 12
KINDS = ("flr", "bus", "d3hot")
TREES = ("imx8", "imx8-edma", "rk3588")
INTX, MSI, MSIX = range(3)
VECTORS = 16
GONE = 0xFFFF_FFFF


class Target(ModelTarget):
    """The selftest's machines, with a function that can be reset and put to sleep, below a bridge."""

    def __init__(self, name="imx8", **capabilities):
        super().__init__(devicetree.load(devicetree.builtin(name)), msix_vectors=VECTORS)
        parts = {"power": PowerCapability(), "express": PciExpressCapability()} | capabilities
        whole = ConfigSpace(
            self.endpoint.bar_sizes, msi=MsiCapability(5, maskable=True), msix=MsixCapability(VECTORS), pin=1, **parts
        )
        self.bridge = ReferenceBridge(self.platform, self.link)
        self.writes = []
        # The link was made around another configuration space.
        self.link.config = self.link.memory._config = whole
        whole.on_function_reset = self.link._function_reset
        self.link.config_write32 = self._noted(self.link.config_write32)
        self.bridge.on_reset = lambda: self.platform.spawn(self._recover(), "recover")

    def _noted(self, write):
        async def noted(offset, value):
            self.writes.append((offset, value, self.platform.now()))
            await write(offset, value)

        return noted

    async def _recover(self):
        assert await self.software.after_reset() == 0, self.software.log

    async def reset(self, kind):
        resets = self.device.resets
        if kind == "flr":
            return await resets.reset_by_flr()
        if kind == "bus":
            return await resets.reset_by_bus(self.bridge)
        return await resets.suspend() or await resets.resume()

    async def command(self, word, wait=20e-3):
        """Give the test function a command; return its STATUS and the interrupts that came for it."""
        before = sum(self.device.fired)
        for offset, value in ((0x08, 0), (0x24, self.host.irq_type), (0x28, 1), (0x04, word)):
            await self.device.write32(0, offset, value)
        await self.platform.sleep(wait)
        return await self.device.read32(0, 0x08), sum(self.device.fired) - before


def run(scenario, name="imx8", irq_type=MSI, **capabilities):
    target = Target(name, **capabilities)

    async def main():
        host = await target.bring_up()
        assert await host.set_irqtype(irq_type) == 0
        return await scenario(target)

    return target.platform.run(main())


@pytest.mark.parametrize("irq_type", [INTX, MSI, MSIX])
@pytest.mark.parametrize("kind", KINDS)
def test_both_ends_go_on_as_before(kind, irq_type):
    async def scenario(target):
        before = [await target.link.config_read32(at) for at in range(0, 0xC0, 4)]
        results = []
        for _ in range(2):
            results += [await target.reset(kind), await target.host.doorbell_test(), await target.host.copy_test(100)]
        after = [await target.link.config_read32(at) for at in range(0, 0xC0, 4)]
        return results, before == after, sum(target.device.fired), target.link.receiver.strays

    assert run(scenario, irq_type=irq_type) == ([0] * 6, True, 8, [])


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("kind", KINDS)
def test_enabled_doorbell(kind, name):
    """What the doorbell's BAR leads to is the doorbell after all but a hot reset, and memory after that."""

    async def scenario(target):
        device = target.device
        assert await target.command(ENABLE) == (RAISED | ENABLED, 1)
        bar, offset, word = [await device.read32(0, at) for at in (0x34, 0x38, 0x3C)]
        assert await target.reset(kind) == 0
        fired = sum(device.fired)
        await target.platform.sleep(50e-3)
        assert sum(device.fired) == fired, "an interrupt from before the reset"
        await device.write32(0, 0x08, 0)
        await device.write32(bar, offset, word)
        await target.platform.sleep(20e-3)
        rung = await device.read32(0, 0x08), sum(device.fired) - fired
        return rung, await target.command(DISABLE), await target.host.doorbell_test()

    # A BAR that shows the eDMA for good needs no window, so a hot reset takes nothing from it.
    lost = kind == "bus" and name != "rk3588"
    rung = (0, 0) if lost else (RAISED | RUNG, 1)
    assert run(scenario, name) == (rung, (RAISED | DISABLED, 1), 0)


def test_interrupts_of_the_messaging_unit_are_enabled_again():
    """A doorbell that stays enabled through a hot reset rings as soon as a BAR leads to it."""

    async def scenario(target):
        device, epf = target.device, target.software.function.epf
        assert await target.command(ENABLE) == (RAISED | ENABLED, 1)
        bar, offset, word = [await device.read32(0, at) for at in (0x34, 0x38, 0x3C)]
        assert await target.reset("bus") == 0
        error, base, _ = epf.align_inbound_addr(bar, epf.doorbells[0].message.address)
        assert not error
        await device.write32(0, 0x08, 0)
        assert await target.software.epc.set_bar(replace(epf.bars[bar], phys_addr=base)) == 0
        await device.write32(bar, offset, word)
        await target.platform.sleep(20e-3)
        return await device.read32(0, 0x08)

    assert run(scenario) == RAISED | RUNG


def test_flr_as_linux_does_it():
    """Pending transactions are asked for, the bit is set, a tenth of a second is waited, what was there is restored."""

    async def scenario(target):
        start, since = target.platform.now(), len(target.writes)
        assert await target.device.resets.reset_by_flr() == 0
        return [(at, value, time - start) for at, value, time in target.writes[since:]]

    writes = run(scenario)
    places = [at for at, _, _ in writes]
    assert [write[:2] for write in writes[:2]] == [(0x04, 0x400), (0x78, 0xA810)]
    assert writes[2][2] - writes[1][2] >= 0.1
    assert places[2:5] == [0x78, 0x80, 0x98], "PCI Express comes first"
    bars = [at for at in places if 0x10 <= at < 0x28]
    assert bars == [0x24, 0x20, 0x1C, 0x18, 0x14, 0x10]
    assert places.index(0x10) < places.index(0x04, 2) < places.index(0x54), "then BARs, the command, and MSI at last"
    assert writes[-1][:2] == (0x50, writes[-1][1] | 1 << 16), "MSI is enabled when its message is there"


@pytest.mark.parametrize("pending", [1, 2, 4, 9])
def test_flr_waits_for_transactions_but_not_for_ever(pending):
    async def scenario(target):
        left = [pending]
        read = target.link.config_read32

        async def busy(offset):
            value = await read(offset)
            if offset == 0x78 and left[0]:
                left[0] -= 1
                value |= 1 << 21
            return value

        target.link.config_read32 = busy
        await target.device.resets.save_and_disable()
        left[0], start = pending, target.platform.now()
        assert await target.device.resets.flr() == 0
        return round((target.platform.now() - start) * 10)

    waited = {1: 1, 2: 3, 4: 7, 9: 7}[pending]
    assert run(scenario) == waited + 1


def test_what_cannot_be_reset():
    async def scenario(target):
        return await target.device.resets.flr()

    assert run(scenario, express=None) == -errno.ENOTTY


def test_a_function_that_stays_away():
    async def scenario(target):
        await target.software.stop()
        target.link.lose()
        start = target.platform.now()
        result = await target.device.resets._wait_until_ready()
        return result, target.platform.now() - start

    result, waited = run(scenario)
    assert result == -errno.ENOTTY
    assert 60 <= waited < 130


def test_bus_reset_as_linux_does_it():
    """The bit is set for two milliseconds, and nobody asks the function for a tenth of a second after it."""

    async def scenario(target):
        seen = []
        write = target.bridge.config_write32

        async def noted(offset, value):
            await write(offset, value)
            seen.append((offset, value, target.platform.now(), await target.link.config_read32(0)))

        target.bridge.config_write32 = noted
        error = await target.device.resets.bus_reset(target.bridge)
        return error, seen, target.platform.now()

    error, seen, end = run(scenario)
    assert error == 0
    assert [(at, value) for at, value, _, _ in seen] == [(0x3C, 1 << 22), (0x3C, 0)]
    assert [gone == GONE for _, _, _, gone in seen] == [True, False]
    assert seen[1][2] - seen[0][2] >= 2e-3
    assert end - seen[1][2] >= 0.1


def test_power_states():
    async def scenario(target):
        resets, link = target.device.resets, target.link
        seen = []
        for state in (D0, D3HOT, D3HOT, D0):
            start = target.platform.now()
            assert await resets.set_power_state(state) == 0
            waited = target.platform.now() - start >= 10e-3
            seen.append((waited, await target.device.read32(0, 0x30), await link.config_read32(0x44)))
        return seen, await resets.keeps_settings()

    caps = 0x3F
    d0 = 0x8
    expected = [(False, caps, d0), (True, GONE, d0 | 3), (False, GONE, d0 | 3), (True, caps, d0)]
    assert run(scenario) == (expected, True)


def test_no_power_management():
    async def scenario(target):
        resets = target.device.resets
        return [await resets.set_power_state(D0), await resets.set_power_state(D3HOT), await resets.keeps_settings()]

    assert run(scenario, power=None) == [0, -errno.EIO, False]


def test_a_function_that_resets_when_it_wakes_up_is_restored():
    async def scenario(target):
        assert not await target.device.resets.keeps_settings()
        return await target.reset("d3hot"), await target.host.doorbell_test()

    assert run(scenario, power=PowerCapability(no_soft_reset=False)) == (0, 0)


def test_restore_needs_a_state():
    async def scenario(target):
        with pytest.raises(RuntimeError, match="after it was saved"):
            await target.device.resets.restore()

    run(scenario)


def test_masked_vectors_stay_masked():
    async def scenario(target):
        await target.device.free_irq(5)
        assert await target.reset("bus") == 0
        return [await target.device.read32(0, 0x80 + 16 * vector + 12) for vector in range(VECTORS)]

    assert run(scenario, irq_type=MSIX) == [int(vector == 5) for vector in range(VECTORS)]


@pytest.mark.parametrize(("kind", "comes"), [("flr", []), ("bus", []), ("d3hot", [3, 4])])
def test_what_is_queued(kind, comes):
    """MSIs that wait are gone after a function-level reset, and after a hot one; in D3hot they wait, and are sent."""

    async def scenario(target):
        device = target.device
        await (device.resets.suspend() if kind == "d3hot" else device.disable())
        for vector in (3, 4):
            await target.link.cpu.write32(target.tree.endpoint.regs.address + 0x10, vector)
        await target.platform.sleep(5e-3)
        waiting = target.endpoint.controller.msi.pending, sum(device.fired)
        assert await (device.resets.resume() if kind == "d3hot" else target.reset(kind)) == 0
        await device.set_master()
        await target.platform.sleep(50e-3)
        return waiting, [vector for vector, count in enumerate(device.fired) if count]

    assert run(scenario) == ((1 << 3 | 1 << 4, 0), comes)
