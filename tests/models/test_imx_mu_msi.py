"""The MU driver, access by access, on every layout."""

import errno

import pytest
from rig import Rig, run_rig

from epbell_models.linux.irqdesc import IrqFlag, IrqReturn
from epbell_models.platform import VirtualPlatform
from epbell_models.reference.address_map import DEFAULT_MAP
from epbell_models.reference.endpoint import ReferenceEndpoint

A = 0x5D27_0000
# Layout: TR0, RR0, status with RFn, control with RIEn, bit of channel 1.
TABLE = {
    "imx6sx": (0x00, 0x10, 0x20, 0x24, 1 << 26),
    "imx7ulp": (0x20, 0x40, 0x60, 0x64, 1 << 26),
    "imx8ulp": (0x200, 0x280, 0x12C, 0x128, 1 << 1),
}


@pytest.fixture(params=TABLE)
def layout(request):
    return request.param


@pytest.fixture
def tree(layout, dts):
    return dts(("fsl,imx8ulp-mu-msi", f"fsl,{layout}-mu-msi"))


async def handled(irq, dev_id):
    return IrqReturn.HANDLED


def mu_accesses(rig: Rig, since: int = 0):
    return [(a.kind, a.address - A, a.value) for a in rig.link.cpu.trace[since:] if A <= a.address < A + 0x1_0000]


def test_probe_alloc_and_free_touch_nothing(tree):
    async def scenario(rig: Rig):
        unit = rig.software.epc.msi_domain
        virqs = [unit.alloc() for _ in range(5)]
        for virq in virqs[:4]:
            unit.free(virq)
        return virqs[4], mu_accesses(rig), rig.software.gic.enabled[191].is_set()

    assert run_rig(scenario, tree=tree) == (-errno.ENOSPC, [], True)


def test_message_is_the_doorbell_of_side_b(layout, tree):
    async def scenario(rig: Rig):
        unit = rig.software.epc.msi_domain
        return [tuple(unit.compose_msg(unit.alloc())) for _ in range(4)]

    tr0 = TABLE[layout][0]
    assert run_rig(scenario, tree=tree) == [(0x5D30_0000 + tr0 + 4 * n, n) for n in range(4)]


def test_unmask_is_one_read_modify_write_and_free_masks(layout, tree):
    _, _, _, control, bit = TABLE[layout]

    async def scenario(rig: Rig):
        unit, core = rig.software.epc.msi_domain, rig.software.core
        unit.alloc()
        virq = unit.alloc()
        await core.request_irq(virq, handled, IrqFlag.NONE, "one", rig)
        unmask = mu_accesses(rig)
        await core.free_irq(virq, rig)
        return unmask, mu_accesses(rig)[2:]

    unmask, mask = run_rig(scenario, tree=tree)
    reset = unmask[0][2]
    assert unmask == [("read", control, reset), ("write", control, reset | bit)]
    assert mask == [("read", control, reset | bit), ("write", control, reset)]


def test_interrupt_is_one_status_read_and_one_ack_before_the_handler(layout, tree):
    tr0, rr0, status, _, bit = TABLE[layout]

    async def scenario(rig: Rig):
        unit, core = rig.software.epc.msi_domain, rig.software.core
        marks = []

        async def handler(irq, dev_id):
            marks.append(len(mu_accesses(rig, since)))
            return IrqReturn.HANDLED

        unit.alloc()
        virq = unit.alloc()
        await core.request_irq(virq, handler, IrqFlag.NONE, "one", rig)
        since = len(rig.link.cpu.trace)
        rig.endpoint.mu.write32("b", tr0 + 4, 0x77)
        rig.link.settle()
        await rig.platform.sleep(1e-3)
        return [(kind, at) for kind, at, _ in mu_accesses(rig, since)], mu_accesses(rig, since)[0][2] & bit, marks

    accesses, full, marks = run_rig(scenario, tree=tree)
    assert accesses == [("read", status), ("read", rr0 + 4)]
    assert full
    assert marks == [2], "the ack comes before the handler"


def test_status_is_read_once_for_all_channels(layout, tree):
    tr0, rr0, status, _, _ = TABLE[layout]

    async def scenario(rig: Rig):
        unit, core = rig.software.epc.msi_domain, rig.software.core
        for number in range(4):
            await core.request_irq(unit.alloc(), handled, IrqFlag.NONE, f"{number}", rig)
        since = len(rig.link.cpu.trace)
        for number in range(4):
            rig.endpoint.mu.write32("b", tr0 + 4 * number, number)
        rig.link.settle()
        await rig.platform.sleep(1e-3)
        return [(kind, at) for kind, at, _ in mu_accesses(rig, since)], rig.software.gic.taken[191]

    accesses, taken = run_rig(scenario, tree=tree)
    assert accesses == [("read", status)] + [("read", rr0 + 4 * n) for n in range(4)]
    assert taken == 1


def test_full_but_masked_channel_is_dispatched_and_kept_pending(layout, tree):
    """The status is not ANDed with RIE: a disabled channel's word is consumed when another channel interrupts."""
    tr0, _, _, _, _ = TABLE[layout]

    async def scenario(rig: Rig):
        unit, core = rig.software.epc.msi_domain, rig.software.core
        virqs = [unit.alloc() for _ in range(2)]
        for virq in virqs:
            await core.request_irq(virq, handled, IrqFlag.NONE, "x", rig)
        await core.disable_irq(virqs[0])
        rig.endpoint.mu.write32("b", tr0, 0)
        rig.endpoint.mu.write32("b", tr0 + 4, 0)
        rig.link.settle()
        await rig.platform.sleep(1e-3)
        desc = core.descs[virqs[0]]
        before = desc.pending, desc.masked, desc.count, rig.endpoint.mu.bells()[0].delivered
        await core.enable_irq(virqs[0])
        await rig.platform.sleep(1e-3)
        return before, desc.count

    assert run_rig(scenario, tree=tree) == ((True, True, 0, 1), 1)


def test_stale_word_fires_at_the_first_unmask(layout, tree):
    tr0 = TABLE[layout][0]

    async def scenario(rig: Rig):
        unit, core = rig.software.epc.msi_domain, rig.software.core
        rig.endpoint.mu.write32("b", tr0, 0)
        rig.link.settle()
        virq = unit.alloc()
        await rig.platform.sleep(1e-3)
        early = core.descs[virq].count
        await core.request_irq(virq, handled, IrqFlag.NONE, "x", rig)
        await rig.platform.sleep(1e-3)
        return early, core.descs[virq].count

    assert run_rig(scenario, tree=tree) == (0, 1)


def test_a_node_without_layout_cannot_be_probed(dts):
    from epbell_models.linux.imx_mu_msi import ImxMuMsi
    from epbell_models.linux.irq import IrqCore

    node = dts(("imx8ulp-mu-msi", "imx8ulp-mu-msi-s4")).messaging_units[0]
    core = IrqCore(VirtualPlatform(), [])
    with pytest.raises(ValueError, match="not 'mailbox@5d270000'"):
        ImxMuMsi(core, None, node)


def test_parent_interrupt_without_a_line():
    from epbell_models import devicetree
    from epbell_models.linux.boot import boot

    platform = VirtualPlatform()
    software = boot(platform, None, {}, devicetree.load(devicetree.builtin()), (0x4000, 0, 0, 0, 0, 0))
    assert platform.run(software.start()) == -errno.EINVAL


def test_the_reference_agrees_where_tr0_is(layout):
    endpoint = ReferenceEndpoint((0x1_0000, 0, 0, 0, 0, 0), layout=layout)
    endpoint.cpu_write32(DEFAULT_MAP["mu_b"].base + TABLE[layout][0], 5)
    assert endpoint.mu.bells()[0].rung == 1
