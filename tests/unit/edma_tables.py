"""The maps of the eDMA and the HDMA, typed in by hand, in the form of the tables of ``test_regs_maps``.

eDMA: the register texts that vendors print in their manuals, and the layout that Linux's ``dw-edma`` uses. HDMA: the
layout of Linux's ``dw-hdma``.
"""

BYTES = 8
WORD = {"VALUE": (31, 0, "rw")}


def words(**offsets):
    return {name: (offset, 0, BYTES, WORD) for name, offset in offsets.items()}


def per_channel(channels, access, low="DONE", high="ABORT"):
    """A bit for each channel in the low half, and one in the high half."""
    return {low: (channels - 1, 0, access), high: (channels + 15, 16, access)}


def message_data(way, base, channels):
    """Sixteen bits for each channel, two in a register."""
    table = {}
    for n in range(0, channels, 2):
        fields = {"EVEN": (15, 0, "rw"), "ODD": (31, 16, "rw")}
        if n + 1 == channels:
            del fields["ODD"]
        table[f"{way}_CH{n}{n + 1}_IMWR_DATA"] = (base + 2 * n, 0, BYTES, fields)
    return table


def direction(way, channels, status, mask, clear, enable, start, weights, done, data, lists):
    ones = (1 << channels) - 1
    return {
        f"{way}_ENGINE_EN": (enable, 0, BYTES, {"ENABLE": (0, 0, "rw")}),
        f"{way}_DOORBELL": (start, 0, BYTES, {"CHANNEL": (2, 0, "rw"), "STOP": (31, 31, "rw")}),
        **words(**{f"{way}_CHANNEL_ARB_WEIGHT_LOW": weights, f"{way}_CHANNEL_ARB_WEIGHT_HIGH": weights + 4}),
        f"{way}_INT_STATUS": (status, 0, BYTES, per_channel(channels, "ro")),
        f"{way}_INT_MASK": (mask, ones << 16 | ones, BYTES, per_channel(channels, "rw")),
        f"{way}_INT_CLEAR": (clear, 0, BYTES, per_channel(channels, "wo")),
        **words(**{f"{way}_DONE_IMWR_LOW": done, f"{way}_DONE_IMWR_HIGH": done + 4}),
        **words(**{f"{way}_ABORT_IMWR_LOW": done + 8, f"{way}_ABORT_IMWR_HIGH": done + 12}),
        **message_data(way, data, channels),
        f"{way}_LINKED_LIST_ERR_EN": (lists, 0, BYTES, per_channel(channels, "rw", "REMOTE_ABORT", "LOCAL_ABORT")),
    }


CONTROL1 = {
    "CB": (0, 0, "rw"),
    "TCB": (1, 1, "rw"),
    "LLP": (2, 2, "rw"),
    "LIE": (3, 3, "rw"),
    "RIE": (4, 4, "rw"),
    "CS": (6, 5, "rw"),
    "CCS": (8, 8, "rw"),
    "LLE": (9, 9, "rw"),
}
EDMA_CHANNEL = {
    "CONTROL1": (0x00, 0, BYTES, CONTROL1),
    **words(CONTROL2=0x04, XFER_SIZE=0x08, SAR_LOW=0x0C, SAR_HIGH=0x10, DAR_LOW=0x14, DAR_HIGH=0x18),
    **words(LLP_LOW=0x1C, LLP_HIGH=0x20),
}
HDMA_CHANNEL = {
    "CH_EN": (0x00, 0, BYTES, {"ENABLE": (0, 0, "rw")}),
    "DOORBELL": (0x04, 0, BYTES, {"START": (0, 0, "rw")}),
    **words(PREFETCH=0x08, LLP_LOW=0x10, LLP_HIGH=0x14, CYCLE_SYNC=0x18, XFER_SIZE=0x1C),
    **words(SAR_LOW=0x20, SAR_HIGH=0x24, DAR_LOW=0x28, DAR_HIGH=0x2C),
    **words(WATERMARK_EN=0x30, CONTROL1=0x34, FUNC_NUM=0x38, CH_STAT=0x80),
    "INT_STAT": (0x84, 0, BYTES, {"STOP": (0, 0, "ro"), "WATERMARK": (1, 1, "const"), "ABORT": (2, 2, "ro")}),
    "INT_SETUP": (
        0x88,
        0,
        BYTES,
        {
            "STOP_MASK": (0, 0, "rw"),
            "ABORT_MASK": (2, 2, "rw"),
            "REMOTE_STOP_EN": (3, 3, "rw"),
            "LOCAL_STOP_EN": (4, 4, "rw"),
            "REMOTE_ABORT_EN": (5, 5, "rw"),
            "LOCAL_ABORT_EN": (6, 6, "rw"),
        },
    ),
    "INT_CLEAR": (0x8C, 0, BYTES, {"STOP": (0, 0, "wo"), "ABORT": (2, 2, "wo")}),
    **words(MSI_STOP_LOW=0x90, MSI_STOP_HIGH=0x94, MSI_WATERMARK_LOW=0x98, MSI_WATERMARK_HIGH=0x9C),
    **words(MSI_ABORT_LOW=0xA0, MSI_ABORT_HIGH=0xA4, MSI_MSGDATA=0xA8),
}


def blocks(channel, first, write_channels, read_channels):
    """A block of registers for each channel: 0x200 apart, those of a read channel 0x100 behind those of a write."""
    table = {}
    for way, channels, base in (("WRITE", write_channels, first), ("READ", read_channels, first + 0x100)):
        for n in range(channels):
            for name, (offset, *rest) in channel.items():
                table[f"{way}_CH{n}_{name}"] = (base + 0x200 * n + offset, *rest)
    return table


def edma(write_channels=4, read_channels=4, legacy=0):
    table = {
        **words(CTRL_DATA_ARB_PRIOR=0x000),
        "DMA_CTRL": (
            0x008,
            read_channels << 16 | write_channels,
            BYTES,
            {"WRITE_CHANNELS": (3, 0, "const"), "READ_CHANNELS": (19, 16, "const")},
        ),
        **direction("WRITE", write_channels, 0x4C, 0x54, 0x58, 0x0C, 0x10, 0x18, 0x60, 0x70, 0x90),
        **direction("READ", read_channels, 0xA0, 0xA8, 0xAC, 0x2C, 0x30, 0x38, 0xCC, 0xDC, 0xC4),
        "WRITE_ERR_STATUS": (
            0x05C,
            0,
            BYTES,
            {"ERROR": (write_channels - 1, 0, "ro"), "LINKED_LIST": (write_channels + 15, 16, "const")},
        ),
        "READ_ERR_STATUS_LOW": (
            0x0B4,
            0,
            BYTES,
            {"ERROR": (read_channels - 1, 0, "ro"), "LINKED_LIST": (read_channels + 15, 16, "const")},
        ),
        "READ_ERR_STATUS_HIGH": (0x0B8, 0, BYTES, {"UNSUPPORTED": (read_channels - 1, 0, "const")}),
        **blocks(EDMA_CHANNEL, 0x200, write_channels, read_channels),
    }
    if legacy:
        table["VIEWPORT_SEL"] = (0x0FC, 0, BYTES, {"CHANNEL": (2, 0, "rw"), "READ": (31, 31, "rw")})
        return table
    return {
        **table,
        **words(WRITE_ENGINE_CHGROUP=0x100, READ_ENGINE_CHGROUP=0x104),
        **words(WRITE_ENGINE_HSHAKE_CNT_LOW=0x108, WRITE_ENGINE_HSHAKE_CNT_HIGH=0x10C),
        **words(READ_ENGINE_HSHAKE_CNT_LOW=0x118, READ_ENGINE_HSHAKE_CNT_HIGH=0x11C),
        **words(**{f"WRITE_CH_PWR_EN{n}": 0x128 + 4 * n for n in range(write_channels)}),
        **words(**{f"READ_CH_PWR_EN{n}": 0x168 + 4 * n for n in range(read_channels)}),
    }


def edma_doorbell(write_channels=4, read_channels=4):
    """What is left of the eDMA when it is a doorbell only, at the same offsets."""
    whole = edma(write_channels, read_channels)
    table = {"DMA_CTRL": whole["DMA_CTRL"]}
    for way, channels in (("WRITE", write_channels), ("READ", read_channels)):
        for name in (f"{way}_INT_STATUS", f"{way}_INT_MASK"):
            offset, reset, width, _ = whole[name]
            table[name] = (offset, reset, width, per_channel(channels, "const"))
        table[f"{way}_INT_CLEAR"] = whole[f"{way}_INT_CLEAR"]
    return table


def hdma(write_channels=4, read_channels=4):
    return blocks(HDMA_CHANNEL, 0, write_channels, read_channels)
