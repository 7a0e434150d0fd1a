"""pci_epf_alloc_doorbell and pci_epf_free_doorbell: which backend, which errors, what a doorbell looks like."""

import errno
from types import SimpleNamespace

import pytest

from epbell_models.devicetree import Region
from epbell_models.linux.dma import PAGE_SIZE, CoherentPool, DmaMappings
from epbell_models.linux.faults import Faults
from epbell_models.linux.irqdesc import IrqFlag
from epbell_models.linux.msi import MsiDomain, MsiMessage
from epbell_models.linux.pci_ep_msi import pci_epf_alloc_doorbell, pci_epf_free_doorbell
from epbell_models.linux.pci_epc import NO_BAR, AuxKind, AuxResource, EpcFeatures, PciEpc, bar_features
from epbell_models.linux.pci_epf import DoorbellKind, DoorbellMessage, PciEpf
from epbell_models.platform import VirtualPlatform

IOMMU = 0x7000_0000
NO_DOMAIN = "Can't find MSI domain for EPC"
FALLBACK = "Using embedded (DMA) doorbell fallback"
BOTH = pytest.mark.parametrize("generation", ["v7", "merged"])


class Domain(MsiDomain):
    """An MSI controller with a few channels."""

    def __init__(self, channels=4, *, msi_parent=True, immutable=True):
        super().__init__("domain", msi_parent=msi_parent, immutable=immutable)
        self.room = channels
        self.used = []

    def alloc(self):
        if len(self.used) == self.room:
            return -errno.ENOSPC
        self.used.append(100 + len(self.used))
        return self.used[-1]

    def free(self, virq):
        self.used.remove(virq)

    def compose_msg(self, virq):
        return MsiMessage(0x5000_0000 + 4 * (virq - 100), virq - 100)


class NoAux:
    features = EpcFeatures(bar_features((0x4000, 0x4000, 0, 0, 0, 0)))


class Aux(NoAux):
    def __init__(self, resources=(), count=None, error=0):
        self.resources = resources
        self.count = len(resources) if count is None else count
        self.error = error
        self.asked = 0

    async def get_aux_resources_count(self):
        self.asked += 1
        return self.count

    async def get_aux_resources(self, resources, room):
        resources.extend(self.resources)
        return self.error


def resource(address=0x1000_00A0, *, data=0, irq=20, bar=NO_BAR, offset=0, kind=AuxKind.DOORBELL_MMIO):
    return AuxResource(kind, address, 4, bar, offset, irq, data)


def allocate(ops, count=1, *, domain=None, generation="merged", faults=None, free=False, twice=0):
    """Return what came of it: result, doorbells, messages, the mappings."""
    platform = VirtualPlatform()
    faults = faults if faults is not None else Faults()
    mappings = DmaMappings(faults, offset=IOMMU)
    pool = CoherentPool(Region(0x6000_0000, 0x1_0000))
    epc = PciEpc(platform, None, ops, pool, domain, generation=generation, faults=faults, mappings=mappings)
    epf, log = PciEpf("function", epc), []
    result = platform.run(pci_epf_alloc_doorbell(epf, count, log))
    again = [platform.run(pci_epf_alloc_doorbell(epf, count, log)) for _ in range(twice)]
    doorbells = list(epf.doorbells)
    if free:
        pci_epf_free_doorbell(epf)
        pci_epf_free_doorbell(epf)
        assert not epf.doorbells
    return SimpleNamespace(
        result=result, again=again, doorbells=doorbells, log=log, mappings=mappings, msi_error=epf.msi_error
    )


# -- which backend -----------------------------------------------------------------------------------------------------


@BOTH
def test_msi_controller_first(generation):
    ops, domain = Aux([resource()]), Domain()
    got = allocate(ops, 2, domain=domain, generation=generation)
    assert (got.result, got.log, got.msi_error, ops.asked) == (0, [], 0, 0)
    assert got.doorbells == [DoorbellMessage(MsiMessage(0x5000_0000 + 4 * n, n), 100 + n) for n in range(2)]
    first = got.doorbells[0]
    assert (first.kind, first.irq_flags, first.bar, first.offset, first.iova_size) == (
        DoorbellKind.MSI, IrqFlag.NONE, NO_BAR, 0, 0
    )  # fmt: skip


NOT_FIT = {
    "none": (None, [NO_DOMAIN]),
    "no MSI parent": (Domain(msi_parent=False), []),
    "mutable": (Domain(immutable=False), ["Mutable MSI controller not supported"]),
}


@BOTH
@pytest.mark.parametrize("case", NOT_FIT)
def test_fall_back_on_enodev(case, generation):
    domain, said = NOT_FIT[case]
    got = allocate(Aux([resource()]), domain=domain, generation=generation)
    assert (got.result, got.log, got.msi_error) == (0, [*said, FALLBACK], -errno.ENODEV)
    assert got.doorbells[0].kind is DoorbellKind.EMBEDDED


FINAL = {
    "enospc": (Domain(1), Faults(), -errno.ENOSPC),
    "enomem": (Domain(), Faults(platform_msi=-errno.ENOMEM), -errno.ENOMEM),
    "einval": (Domain(), Faults(platform_msi=-errno.EINVAL), -errno.EINVAL),
}


@BOTH
@pytest.mark.parametrize("case", FINAL)
def test_no_fallback_on_any_other_error(case, generation):
    domain, faults, error = FINAL[case]
    ops = Aux([resource()])
    got = allocate(ops, 2, domain=domain, generation=generation, faults=faults)
    assert (got.result, got.doorbells, got.log, ops.asked) == (error, [], ["Failed to allocate MSI"], 0)
    assert got.msi_error == error
    assert domain.used == []


@BOTH
def test_no_memory_for_the_messages_of_the_msi_controller(generation):
    ops, domain = Aux([resource()]), Domain()
    got = allocate(ops, domain=domain, generation=generation, faults=Faults(kcalloc=1))
    assert (got.result, got.doorbells, got.log, ops.asked, domain.used) == (-errno.ENOMEM, [], [], 0, [])


def test_enodev_of_the_allocation_itself_falls_back_too():
    got = allocate(Aux([resource()]), domain=Domain(), faults=Faults(platform_msi=-errno.ENODEV))
    assert (got.result, got.log) == (0, ["Failed to allocate MSI", FALLBACK])


@BOTH
@pytest.mark.parametrize("domain", [None, Domain()])
def test_busy(domain, generation):
    got = allocate(Aux([resource()]), domain=domain, generation=generation, twice=2)
    assert (got.result, got.again, len(got.doorbells)) == (0, [-errno.EBUSY] * 2, 1)
    assert got.mappings.mapped == (1 if domain is None and generation == "merged" else 0)


def test_first_function_only():
    platform = VirtualPlatform()
    epc = PciEpc(platform, None, Aux([resource()]), CoherentPool(Region(0, 0x1000)), None)
    PciEpf("first", epc)
    second, log = PciEpf("second", epc), []
    assert platform.run(pci_epf_alloc_doorbell(second, 1, log)) == -errno.EINVAL
    assert (second.doorbells, log) == ([], ["Doorbell doesn't support multiple EPF"])


# -- the embedded backend ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_merged_entries_are_all_the_same(count):
    got = allocate(Aux([resource(0x1234_50A0, data=0xCAFE, irq=33)]), count)
    entry = DoorbellMessage(
        MsiMessage(IOMMU + 0x1234_50A0, 0xCAFE), 33, IrqFlag.SHARED, DoorbellKind.EMBEDDED,
        NO_BAR, 0, IOMMU + 0x1234_5000, PAGE_SIZE,
    )  # fmt: skip
    assert (got.result, got.doorbells) == (0, [entry] * count)
    assert (got.mappings.live, got.mappings.mapped) == ({IOMMU + 0x1234_5000: [PAGE_SIZE]}, 1)


@pytest.mark.parametrize("count", [1, 2, 5, 32])
def test_v7_entries_are_all_the_same(count):
    got = allocate(Aux([resource(0x1234_50A0, data=0xCAFE, irq=33)]), count, generation="v7")
    entry = DoorbellMessage(
        MsiMessage(0x1234_50A0, 0), 33, IrqFlag.SHARED, DoorbellKind.EMBEDDED, NO_BAR, 0, 0, 0
    )  # fmt: skip
    assert (got.result, got.doorbells) == (0, [entry] * count)
    assert got.mappings.mapped == 0


def test_entries_are_not_one_object():
    got = allocate(Aux([resource()]), 2)
    assert got.doorbells[0] is not got.doorbells[1]


@pytest.mark.parametrize("bar", [0, 4])
@pytest.mark.parametrize(("generation", "data"), [("v7", 0), ("merged", 0x55)])
def test_fixed_bar(generation, data, bar):
    got = allocate(Aux([resource(data=0x55, bar=bar, offset=0xA0)]), 3, generation=generation)
    entry = DoorbellMessage(
        MsiMessage(0x1000_00A0, data), 20, IrqFlag.SHARED, DoorbellKind.EMBEDDED, bar, 0xA0, 0, 0
    )  # fmt: skip
    assert (got.result, got.doorbells, got.mappings.mapped) == (0, [entry] * 3, 0)


@BOTH
def test_offset_without_bar_is_zero(generation):
    got = allocate(Aux([resource(offset=0xA0)]), generation=generation)
    assert (got.doorbells[0].bar, got.doorbells[0].offset) == (NO_BAR, 0)


@BOTH
def test_first_of_several_doorbells(generation):
    other = resource(kind=AuxKind.DMA_CTRL_MMIO, address=0x1000_0000)
    got = allocate(Aux([other, resource(irq=7), resource(irq=8), resource(irq=9)]), 2, generation=generation)
    assert [doorbell.virq for doorbell in got.doorbells] == [7, 7]
    warned = ["Duplicate DOORBELL_MMIO resource found"] * 2 if generation == "v7" else []
    assert got.log == [NO_DOMAIN, *warned, FALLBACK]


NO_DOORBELL = {
    "nothing": Aux(),
    "other kinds": Aux([resource(kind=AuxKind.DMA_CTRL_MMIO), resource(kind=AuxKind.DMA_CHAN_DESC)]),
}


@BOTH
@pytest.mark.parametrize("case", NO_DOORBELL)
def test_no_doorbell(case, generation):
    got = allocate(NO_DOORBELL[case], generation=generation)
    said = [NO_DOMAIN, f"Failed to allocate doorbell: {-errno.ENODEV}"]
    assert (got.result, got.doorbells, got.log) == (-errno.ENODEV, [], said)


@pytest.mark.parametrize(("generation", "error"), [("v7", errno.ENODEV), ("merged", errno.EOPNOTSUPP)])
def test_driver_that_knows_no_resources(generation, error):
    got = allocate(NoAux(), generation=generation)
    assert (got.result, got.log[-1]) == (-error, f"Failed to allocate doorbell: {-error}")


@pytest.mark.parametrize(("generation", "error"), [("v7", errno.ENODEV), ("merged", errno.EOPNOTSUPP)])
def test_driver_that_counts_resources_and_gets_none(generation, error):
    got = allocate(Aux([resource()], error=-errno.EOPNOTSUPP), generation=generation)
    assert (got.result, got.doorbells, got.log[-1]) == (-error, [], f"Failed to allocate doorbell: {-error}")


@BOTH
@pytest.mark.parametrize("ops", [Aux(count=-errno.EIO), Aux([resource()], error=-errno.EIO)])
def test_errors_of_the_driver(ops, generation):
    got = allocate(ops, generation=generation)
    assert (got.result, got.doorbells, got.mappings.mapped) == (-errno.EIO, [], 0)


@pytest.mark.parametrize("odd", [1, 2, 3])
@pytest.mark.parametrize("bar", [NO_BAR, 4])
def test_not_aligned(odd, bar):
    """Row 63."""
    found = [resource(0x1000_00A0 + odd, bar=bar)]
    refused, taken = allocate(Aux(found)), allocate(Aux(found), generation="v7")
    assert (refused.result, refused.doorbells, refused.mappings.mapped) == (-errno.EINVAL, [], 0)
    assert (taken.result, taken.doorbells[0].message.address) == (0, 0x1000_00A0 + odd)


@pytest.mark.parametrize("within", [0, 4, 0xA0, PAGE_SIZE - 4])
def test_mapping_is_the_page_around(within):
    got = allocate(Aux([resource(0x1000_0000 + within)]))
    assert got.mappings.live == {IOMMU + 0x1000_0000: [PAGE_SIZE]}
    assert got.doorbells[0].message.address == IOMMU + 0x1000_0000 + within


def test_mapping_fails():
    faults = Faults(dma_map_resource=True)
    got = allocate(Aux([resource()]), faults=faults)
    assert (got.result, got.doorbells) == (-errno.EIO, [])
    assert allocate(Aux([resource()]), faults=faults, generation="v7").result == 0
    assert allocate(Aux([resource(bar=4)]), faults=faults).result == 0


@BOTH
def test_no_memory_for_the_resources(generation):
    got = allocate(Aux([resource()]), generation=generation, faults=Faults(kcalloc=1))
    assert (got.result, got.doorbells, got.mappings.mapped) == (-errno.ENOMEM, [], 0)


def test_no_memory_for_the_doorbells_leaves_no_mapping():
    got = allocate(Aux([resource()]), 8, faults=Faults(kcalloc=2))
    assert (got.result, got.doorbells, got.mappings.live) == (-errno.ENOMEM, [], {})
    assert (got.mappings.mapped, got.mappings.unmapped) == (1, 1)


def test_no_memory_for_the_doorbells_of_v7():
    got = allocate(Aux([resource()]), faults=Faults(kcalloc=2), generation="v7")
    assert (got.result, got.doorbells, got.mappings.unmapped) == (-errno.ENOMEM, [], 0)


@pytest.mark.parametrize("count", [1, 8])
def test_free_unmaps_once(count):
    got = allocate(Aux([resource()]), count, free=True)
    assert (got.mappings.live, got.mappings.mapped, got.mappings.unmapped) == ({}, 1, 1)


def test_free_unmaps_nothing_that_was_not_mapped():
    for ops, generation in ((Aux([resource(bar=4)]), "merged"), (Aux([resource()]), "v7")):
        got = allocate(ops, 3, generation=generation, free=True)
        assert (got.result, got.mappings.unmapped) == (0, 0)


def test_free_returns_the_channels():
    domain = Domain()
    assert allocate(NoAux(), 3, domain=domain, free=True).result == 0
    assert domain.used == []


# -- mappings and faults -----------------------------------------------------------------------------------------------


def test_the_same_page_twice():
    mappings = DmaMappings()
    first, second = (mappings.map_resource(0x1000, PAGE_SIZE) for _ in range(2))
    mappings.unmap_resource(first, PAGE_SIZE)
    assert mappings.live == {0x1000: [PAGE_SIZE]}
    mappings.unmap_resource(second, PAGE_SIZE)
    with pytest.raises(RuntimeError, match="Nothing of 0x1000 bytes is mapped at 0x1000"):
        mappings.unmap_resource(first, PAGE_SIZE)


@pytest.mark.parametrize(("address", "size"), [(4, PAGE_SIZE), (0, 4), (0, 0)])
def test_mappings_are_whole_pages(address, size):
    with pytest.raises(ValueError, match="whole pages, not"):
        DmaMappings().map_resource(address, size)


def test_faults_of_the_command_line():
    assert Faults.of({"quiet": ""}) == Faults()
    words = {"platform_msi": "ENOMEM", "dma_map_resource": "", "kcalloc": "2", "irq_alloc_desc": "ENOSPC"}
    bootargs = {f"fault_inject.{name}": value for name, value in words.items()}
    assert Faults.of(bootargs) == Faults(-errno.ENOMEM, True, 2, -errno.ENOSPC)


IMPOSSIBLE = [("platform_msi", "EWHAT"), ("platform_msi", "12"), ("kcalloc", "two"), ("irq_alloc_desc", "ENOT")]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_impossible_faults(name, value):
    with pytest.raises(ValueError, match=f"not '{value}'"):
        Faults.of({f"fault_inject.{name}": value})


def test_one_allocation_fails():
    faults = Faults(kcalloc=2)
    assert [faults.kcalloc_fails() for _ in range(4)] == [False, True, False, False]
