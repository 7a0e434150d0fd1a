"""Scenarios of a bridge of which both drivers are bound: control block, vectors, slots, scratchpads."""

import errno

import cocotb

from epbell_tb.endpoint.bring_up import after
from epbell_tb.endpoint.vntb_env import RCAR, VntbBringUp
from epbell_tb.endpoint.vntb_slots import ENTRY, SLOTS, backend_of, published, store_of

_BLOCK = 0x134
_CONFIG = 0
_VECTORS = (1, 2, 3, 4, 16, 32)
_FEWEST = 4


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_control_block(env):
    """Read the config BAR: every field is where the host's driver expects it, and says what there is."""
    backend = backend_of(env)
    assert env.vntb.backend == backend
    words = [await env.device.read32(_CONFIG, offset) for offset in range(0, _BLOCK, 4)]
    assert words[0x00 // 4 : 0x20 // 4] == [0] * 8, "the host's commands are taken, the link is down"
    windows = sum(1 for bar in env.map.windows if bar >= 0 and env.bar_sizes[bar])
    assert words[0x20 // 4] == windows
    assert words[0x24 // 4] == 0
    assert words[0x28 // 4] == _BLOCK, "scratchpads follow the block"
    assert words[0x2C // 4] == env.config().spad_count
    assert words[0x30 // 4] == ENTRY[backend], "bytes between two slots"
    data, offsets = words[0x34 // 4 : 0xB4 // 4], words[0xB4 // 4 : _BLOCK // 4]
    wanted = [published(env, slot, backend) for slot in range(4)] + [(0, 0)] * (SLOTS - 4)
    assert list(zip(data, offsets, strict=True)) == wanted
    assert await env.device.read(_CONFIG, _BLOCK, 8 * env.config().spad_count) == bytes(8 * env.config().spad_count)
    if backend != "polling":
        return
    # The link is LINK_STATUS, above COMMAND_STATUS. Elsewhere it takes half a second, and is another scenario's.
    assert await env.driver.link_enable() == 0
    assert await env.device.read32(_CONFIG, 8) == 1 << 16
    assert env.near.take() == ["link"]


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_vectors(env):
    """Let the host grant 1 to 32 vectors: with fewer than 4 its driver does not bind, else it has all but two."""
    env.offer(SLOTS)
    await env.driver.remove()
    for vectors in _VECTORS:
        error = await env.try_to_probe(vectors)
        if vectors < _FEWEST:
            assert error == -errno.ENOSPC
            assert "ntb_hw_epf: Failed to get MSI interrupts" in env.driver.log
            assert not env.block.functions[0].msi_cap.msi_enable
            continue
        assert error == 0, env.driver.log
        assert env.driver.vectors == vectors
        assert env.driver.db_valid_mask() == (1 << vectors - 2) - 1
        for bit in range(2):
            assert await env.ntb.peer_db_set(1 << bit) == 0
        await env.settle()
        assert env.far.take() == [0, 1]
        await env.driver.remove()


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp())
async def vntb_scratchpads(env):
    """Write random words to every scratchpad from both ends: each reads the other's, and nothing is beside them."""
    count = env.config().spad_count
    assert env.driver.spad_count() == env.ntb.spad_count() == count
    block = await env.device.read(_CONFIG, 0, _BLOCK)
    end = _BLOCK + 8 * count
    after_them = await env.device.read(_CONFIG, end, 64)
    ours, theirs = ([env.random.getrandbits(32) for _ in range(count)] for _ in range(2))
    writes = [(env.driver.peer_spad_write, index, ours[index]) for index in range(count)]
    writes += [(env.ntb.peer_spad_write, index, theirs[index]) for index in range(count)]
    env.random.shuffle(writes)
    for write, index, word in writes:
        assert await write(0, index, word) == 0
    for index in env.random.sample(range(count), count):
        assert await env.ntb.spad_read(index) == await env.driver.peer_spad_read(0, index) == ours[index]
        assert await env.driver.spad_read(index) == await env.ntb.peer_spad_read(0, index) == theirs[index]
    rows = await env.device.read(_CONFIG, _BLOCK, 8 * count)
    assert rows == b"".join(word.to_bytes(4, "little") for word in (*theirs, *ours)), "the host's row is the first"
    for index, write in ((3, env.driver.spad_write), (5, env.ntb.spad_write)):
        assert await write(index, 0x5A5A_0000 | index) == 0
    assert await env.ntb.peer_spad_read(0, 3) == 0x5A5A_0003
    assert await env.driver.peer_spad_read(0, 5) == 0x5A5A_0005
    assert await env.device.read(_CONFIG, 0, _BLOCK) == block
    assert await env.device.read(_CONFIG, end, 64) == after_them


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(linux=False))
async def vntb_counts_of_slots(env):
    """Bind with a number of slots that cannot be: -EINVAL, and the BARs lead nowhere. Then with one that can."""
    wrong = [(count, "newest") for count in (0, 1, 2, 33)] + [(count, "v7.1") for count in (0, 33)]
    for count, release in wrong:
        config = env.config(db_count=count, release=release)
        env.software = env.new_software(vntb=config)
        assert await env.software.start() == -errno.EINVAL
        fewest = 3 if release == "newest" else 1
        assert f"pci_epf_vntb: DB count {count} out of range ({fewest} - 32)" in env.software.log
        assert not env.software.controller.bar_to_window
        refused = len(env.device.refused_reads)
        for bar in (env.map.config, env.map.db):
            assert await env.device.read32(bar, 0) == 0xFFFF_FFFF
        assert len(env.device.refused_reads) == refused + 2
    for count, release in ((1, "v7.1"), (32, "newest")):
        await env.boot(env.config(db_count=count, release=release))
        assert env.vntb.backend == ("mu" if count <= 4 else "polling")
        await env.software.stop()
    await env.boot(env.config())
    offset, word = store_of(env, 2, "mu")
    await env.device.write32(env.map.db, offset, word)
    await env.settle()
    assert env.near.take() == [0]


@cocotb.test(timeout_time=2000, timeout_unit="us")
@after(VntbBringUp(identity=RCAR))
async def vntb_bars_of_an_rcar(env):
    """Bind as a function of which the host's driver expects the doorbells in BAR 4 and a window in BAR 2."""
    assert (env.map.db, env.map.windows[0]) == (4, 2)
    for bit in range(2):
        assert await env.driver.peer_db_set(1 << bit) == 0
        await env.tick()
        assert env.near.take() == [bit]
    assert env.stores == [store_of(env, slot, "polling") for slot in (2, 3)]
    size = env.bar_sizes[2]
    memory = env.ntb.dma_alloc(size)
    assert await env.ntb.mw_set_trans(0, 0, memory, size) == 0
    data = env.random.randbytes(64)
    await env.driver.peer_mw_write(0, size - 64, data)
    assert await env.driver.peer_mw_read(0, size - 64, 64) == data
    assert await env.ntb.dma_read(memory + size - 64, 64) == data
