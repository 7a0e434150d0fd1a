"""Auxiliary resources: count and get through the controller core, and what the DesignWare driver offers."""

import errno
from dataclasses import replace

import pytest
from rig import Rig, run_rig

from epbell_models import devicetree
from epbell_models.linux.dma import CoherentPool
from epbell_models.linux.dw_edma import NO_OFFSET
from epbell_models.linux.pci_epc import (
    BAR_COUNT,
    NO_BAR,
    AuxKind,
    AuxResource,
    BarFeature,
    BarKind,
    EpcFeatures,
    EpfBar,
    PciEpc,
    ReservedRegion,
    bar_features,
)
from epbell_models.linux.pci_epf import PciEpf
from epbell_models.platform import VirtualPlatform

SIZES = (0x4000, 0x4000, 0, 0, 0, 0)
DOORBELL = AuxResource(AuxKind.DOORBELL_MMIO, 0x1000_00A0, 4, irq=20, data=0)


class NoAux:
    """A controller's driver that knows nothing of auxiliary resources."""

    features = EpcFeatures(bar_features(SIZES))

    async def set_bar(self, bar):
        return 0


class Aux(NoAux):
    """One that offers whatever it is given; a number stands for an error."""

    def __init__(self, count, resources=()):
        self.count = count
        self.resources = resources
        self.busy = False

    async def get_aux_resources_count(self):
        return self.count

    async def get_aux_resources(self, resources, room):
        if isinstance(self.resources, int):
            return self.resources
        if len(self.resources) > room:
            return -errno.ENOSPC
        resources.extend(self.resources)
        return 0


def ask(ops, question, generation="merged"):
    platform = VirtualPlatform()
    pool = CoherentPool(devicetree.Region(0x6000_0000, 0x10_0000))
    epc = PciEpc(platform, None, ops, pool, None, generation=generation)
    PciEpf("function", epc)
    return platform.run(question(epc))


@pytest.mark.parametrize("count", [0, 1, 3, -errno.EIO])
def test_count_is_passed_on(count):
    assert ask(Aux(count), lambda epc: epc.get_aux_resources_count()) == count


@pytest.mark.parametrize("generation", ["v7", "merged"])
def test_without_the_operation(generation):
    async def question(epc):
        return await epc.get_aux_resources_count(), await epc.get_aux_resources([], 1)

    assert ask(NoAux(), question, generation) == (-errno.EOPNOTSUPP, -errno.EOPNOTSUPP)


@pytest.mark.parametrize("function", [-1, 1])
def test_no_such_function(function):
    async def question(epc):
        return await epc.get_aux_resources_count(function), await epc.get_aux_resources([], 1, function)

    assert ask(Aux(1, [DOORBELL]), question) == (-errno.EINVAL, -errno.EINVAL)


@pytest.mark.parametrize(("generation", "answer"), [("merged", 0), ("v7", 2)])
def test_get(generation, answer):
    async def question(epc):
        found = []
        return await epc.get_aux_resources(found, 2), found

    both = [DOORBELL, AuxResource(AuxKind.DMA_CTRL_MMIO, 0x1000_0000, 0x1000)]
    assert ask(Aux(2, both), question, generation) == (answer, both)


def test_get_too_small():
    async def question(epc):
        found = []
        return await epc.get_aux_resources(found, 1), found

    assert ask(Aux(2, [DOORBELL, DOORBELL]), question) == (-errno.ENOSPC, [])


def test_get_error_is_passed_on():
    assert ask(Aux(1, -errno.EIO), lambda epc: epc.get_aux_resources([], 1)) == -errno.EIO


@pytest.mark.parametrize(("generation", "answer"), [("merged", -errno.EINVAL), ("v7", 5)])
def test_count_without_an_operation_of_its_own(generation, answer):
    assert ask(Aux(5), lambda epc: epc.get_aux_resources(None, 0), generation) == answer


@pytest.mark.parametrize("room", [0, -1])
def test_get_without_room(room):
    assert ask(Aux(1, [DOORBELL]), lambda epc: epc.get_aux_resources([], room)) == -errno.EINVAL


def test_the_controller_is_locked_meanwhile():
    class Slow(Aux):
        async def get_aux_resources_count(self):
            assert not self.busy
            self.busy = True
            await self.platform.sleep(1e-3)
            self.busy = False
            return 1

    async def question(epc):
        ops.platform = epc.platform
        for name in ("one", "two"):
            epc.platform.spawn(count(epc), name)
        await epc.platform.sleep(5e-3)
        return answers

    async def count(epc):
        answers.append(await epc.get_aux_resources_count())

    ops, answers = Slow(1), []
    assert ask(ops, question) == [1, 1]


@pytest.mark.parametrize("question", ["count", "get"])
def test_no_other_operation_of_the_controller_while_resources_are_asked_for(question):
    class Slow(Aux):
        async def set_bar(self, bar):
            seen.append("set_bar")
            return 0

        async def get_aux_resources_count(self):
            return await self.answer()

        async def get_aux_resources(self, resources, room):
            return await self.answer()

        async def answer(self):
            seen.append("in")
            await platform.sleep(1e-3)
            seen.append("out")
            return 0

    async def main():
        asked = epc.get_aux_resources_count() if question == "count" else epc.get_aux_resources([], 1)
        platform.spawn(asked, "ask")
        await platform.sleep(1e-4)
        assert seen == ["in"]
        assert await epc.set_bar(EpfBar(0, 0, 0x4000)) == 0

    seen, platform = [], VirtualPlatform()
    epc = PciEpc(platform, None, Slow(1), CoherentPool(devicetree.Region(0, 0x1000)), None)
    PciEpf("function", epc)
    platform.run(main())
    assert seen == ["in", "out", "set_bar"]


def test_unknown_generation():
    with pytest.raises(ValueError, match="'v7' or 'merged', not 'v8'"):
        ask(NoAux(), lambda epc: epc.get_aux_resources_count(), "v8")


# -- the DesignWare driver ---------------------------------------------------------------------------------------------


async def offered(rig: Rig, room: int = 4):
    found: list[AuxResource] = []
    count = await rig.software.epc.get_aux_resources_count()
    return count, await rig.software.epc.get_aux_resources(found, room), found


def tree_of(name: str) -> devicetree.DeviceTree:
    return devicetree.load(devicetree.builtin(name))


@pytest.mark.parametrize("name", ["imx8", "imx8-edma"])
def test_doorbell_of_the_edma(name):
    async def scenario(rig: Rig):
        return await offered(rig), rig.software.edma.db_irq

    (count, error, found), irq = run_rig(scenario, tree=tree_of(name))
    assert irq > 0
    assert (count, error) == (1, 0)
    assert found == [AuxResource(AuxKind.DOORBELL_MMIO, 0x5F09_00A0, 4, NO_BAR, 0, irq, 0)]


def test_doorbell_in_a_fixed_bar():
    async def scenario(rig: Rig):
        return await offered(rig), rig.software.edma.db_irq

    (count, error, found), irq = run_rig(scenario, tree=tree_of("rk3588"))
    assert (count, error) == (1, 0)
    assert found == [AuxResource(AuxKind.DOORBELL_MMIO, 0xF438_00A0, 4, 4, 0xA0, irq, 0)]


def test_doorbell_of_a_legacy_edma(dts):
    async def scenario(rig: Rig):
        return await offered(rig), await rig.host.doorbell_test(), rig.endpoint.edma.rung

    edits = [('"regs", "atu", "dma"', '"regs", "atu", "dbi"'), ("msi-parent = <&lsio_mu12>;", "")]
    (count, error, found), result, rung = run_rig(scenario, tree=dts(*edits))
    assert (count, error, [resource.phys_addr for resource in found]) == (1, 0, [0x5F09_0A10])
    assert (result, rung) == (0, 1)


@pytest.mark.parametrize("name", ["hdma", "imx8-edma"])
def test_no_doorbell(name, dts):
    """A core that emulates nothing; a controller without eDMA."""

    async def scenario(rig: Rig):
        edma = rig.software.edma
        return edma is not None and (edma.db_irq, edma.db_offset), await offered(rig)

    tree = tree_of(name) if name == "hdma" else dts(('interrupt-names = "dma";', ""))
    known = (0, NO_OFFSET) if name == "hdma" else False
    assert run_rig(scenario, tree=tree) == (known, (0, 0, []))


def test_doorbell_without_room():
    async def scenario(rig: Rig):
        return await rig.software.controller.get_aux_resources([], 0)

    assert run_rig(scenario) == -errno.ENOSPC


@pytest.mark.parametrize(
    ("size", "offset", "error"), [(0xA4, 0, 0), (0xA3, 0, -errno.EINVAL), (0xA0, 0, -errno.EINVAL), (0x2000, 0x100, 0)]
)
def test_window_that_is_clipped(size, offset, error, monkeypatch):
    async def scenario(rig: Rig):
        features = rig.software.controller.features
        region = ReservedRegion(AuxKind.DMA_CTRL_MMIO, offset, size)
        bars = list(features.bars)
        bars[4] = type(bars[4])(bars[4].kind, regions=(region,))
        monkeypatch.setattr(rig.software.controller, "features", EpcFeatures(tuple(bars)))
        return (await offered(rig))[1:]

    found = run_rig(scenario, tree=tree_of("rk3588"))
    assert found[0] == error
    assert [(resource.bar, resource.bar_offset) for resource in found[1]] == ([] if error else [(4, offset + 0xA0)])


@pytest.mark.parametrize("kind", BarKind)
@pytest.mark.parametrize("bar", [0, 4])
def test_registers_in_a_bar_count_only_if_it_is_reserved(kind, bar, monkeypatch):
    async def scenario(rig: Rig):
        bars = [BarFeature()] * BAR_COUNT
        bars[bar] = BarFeature(kind, regions=(ReservedRegion(AuxKind.DMA_CTRL_MMIO, 0x100, 0x2000),))
        monkeypatch.setattr(rig.software.controller, "features", EpcFeatures(tuple(bars)))
        _, error, (found,) = await offered(rig)
        return error, found.bar, found.bar_offset

    expected = (0, bar, 0x1A0) if kind is BarKind.RESERVED else (0, NO_BAR, 0)
    assert run_rig(scenario, tree=tree_of("imx8-edma")) == expected


def test_page_smaller_than_the_doorbells_offset(monkeypatch):
    """The eDMA's own region bounds the window, too."""

    async def scenario(rig: Rig):
        node = rig.software.controller._node
        edma = replace(node.edma, region=devicetree.Region(node.edma.region.address, 0xA0))
        monkeypatch.setattr(rig.software.controller, "_node", replace(node, edma=edma))
        return (await offered(rig))[1], await rig.host.doorbell_test(), rig.software.function.reason

    error, result, reason = run_rig(scenario, tree=tree_of("imx8-edma"))
    assert (error, result) == (-errno.EINVAL, -errno.EINVAL)
    assert reason.endswith("(-EINVAL)")
