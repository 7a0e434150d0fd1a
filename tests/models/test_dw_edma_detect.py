"""Detection of the eDMA by the controller's driver: what it goes on without, and what it gives up for."""

import errno

from dw_edma_rig import shipped, store
from rig import Rig, run_rig

from epbell_models.linux.dw_edma import NO_OFFSET
from epbell_models.linux.dw_edma_core import EdmaWay

# -- the doorbell's interrupt cannot be allocated ----------------------------------------------------------------------


def test_no_doorbells_interrupt_is_no_doorbell_and_no_more(dts):
    """The kernel warns: the channels work, and pci-epf-test gets -ENODEV."""

    async def scenario(rig: Rig):
        edma = rig.software.edma
        await edma.start_channel(EdmaWay.READ, 1)
        rig.link.pulse(rd_done=2)
        await rig.platform.sleep(1e-3)
        state = edma.db_irq, edma.db_offset, await rig.software.epc.get_aux_resources_count(), edma.done[5]
        result = await rig.host.doorbell_test()
        return state, rig.software.log[0], result, rig.software.function.reason

    chosen = 'chosen { bootargs = "fault_inject.irq_alloc_desc=ENOSPC"; };'
    tree = dts(("msi-parent = <&lsio_mu12>;", ""), ("/ {", f"/ {{ {chosen}"))
    assert run_rig(scenario, tree=tree, polling=False) == (
        (0, NO_OFFSET, 0, 1),
        "Failed to allocate emulation IRQ: -28",
        -errno.EINVAL,
        "Can't find MSI domain for EPC; Failed to allocate doorbell: -19 (-ENODEV)",
    )


def test_nobody_cares_about_a_store_without_the_doorbells_interrupt():
    async def scenario(rig: Rig):
        rig.software.faults.irq_alloc_desc = -errno.ENOSPC
        await rig.bring_up()
        store(rig)
        await rig.platform.sleep(1e-2)
        return rig.software.log[-2:], rig.link.irq_edma[0].level()

    said = ["irq 17: nobody cared", "Disabling IRQ #17"]
    assert run_rig(scenario, tree=shipped(), bring_up=False, spurious_window=100) == (said, True)
