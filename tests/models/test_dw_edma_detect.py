"""Detection of the eDMA by the controller's driver: what it goes on without, and what it gives up for."""

import errno

import pytest
from dw_edma_rig import shipped, store
from rig import Rig, run_rig

from epbell_models.linux.dw_edma import NO_OFFSET
from epbell_models.linux.dw_edma_core import EdmaWay
from epbell_models.linux.irqdesc import IrqFlag, IrqReturn

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


# -- errors of the driver ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imx8", "imx8-edma", "rk3588", "hdma"])
def test_an_interrupt_that_somebody_holds_alone_ends_the_controllers_initialisation(name):
    """Even where a Messaging Unit would be the doorbell."""

    async def scenario(rig: Rig):
        async def handler(irq, dev_id):
            return IrqReturn.NONE

        software = rig.software
        virq = software.gic.map_spi(shipped(name).endpoint.edma.interrupts[-1].spi)
        assert await software.core.request_irq(virq, handler, IrqFlag.NONE, "alone", rig) == 0
        failed = await software.start()
        state = software.edma, software.log[1:], list(software.function.epf.bars), software.gic._tasks
        await software.core.free_irq(virq, rig)
        return failed, state, await software.start(), software.edma is not None

    state = (None, ["Couldn't register eDMA device"], [None] * 6, [])
    assert run_rig(scenario, tree=shipped(name), bring_up=False) == (-errno.EBUSY, state, 0, True)


@pytest.mark.parametrize(
    ("error", "started", "said"),
    [
        (-errno.ENODEV, 0, []),
        (-errno.EINVAL, -errno.EINVAL, ["Couldn't register eDMA device"]),
        (-errno.ENOMEM, -errno.ENOMEM, ["Couldn't register eDMA device"]),
    ],
)
def test_only_enodev_of_the_driver_is_no_error(error, started, said, monkeypatch):
    async def scenario(rig: Rig):
        async def probe(hook):
            return error

        monkeypatch.setattr(rig.software._edma, "probe", probe)
        return await rig.software.start(), rig.software.edma, rig.software.log

    assert run_rig(scenario, tree=shipped(), bring_up=False) == (started, None, said)


def test_interrupts_that_are_wrong_are_no_error(dts):
    async def scenario(rig: Rig):
        return await rig.software.start(), rig.software.edma, rig.software.log

    tree = dts(('interrupt-names = "dma"', 'interrupt-names = "edma"'))
    assert run_rig(scenario, tree=tree, bring_up=False) == (0, None, ["Invalid eDMA IRQs found"])
