"""The scenarios of the endpoint: which there are, where, on which device trees, and what each one shows.

Needs no simulator.
"""

from dataclasses import dataclass

__all__ = [
    "SCENARIOS",
    "TREES",
    "WIDTHS",
    "Scenario",
]

TREES = ("imx8", "imx8-edma", "rk3588", "hdma", "msi-enospc", "msi-enomem")
"""Every device tree that ships with the models."""

_BRIDGES = ("imx8", "imx8-edma", "msi-enomem")
"""On which the bridge's doorbells are each of the kinds that there are."""

WIDTHS = (64, 128, 256, 512)
"""Widths of the PCIe streams in bits."""


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes
    ----------
    name
        Name of the cocotb test.
    bench
        Module that holds it.
    intent
        What it shows, in a sentence.
    trees
        Names of the shipped device trees that it runs on.
    widths
        Widths of the PCIe streams at which it runs, in bits.

    Raises
    ------
    ValueError
        If there is no such device tree or width, or none at all.
    """

    name: str
    bench: str
    intent: str
    trees: tuple[str, ...] = ("imx8",)
    widths: tuple[int, ...] = WIDTHS

    def __post_init__(self) -> None:
        if not self.trees or not set(self.trees) <= set(TREES):
            raise ValueError(f"The device trees of {self.name!r} must be some of {TREES}, not {self.trees!r}")
        if not self.widths or not set(self.widths) <= set(WIDTHS):
            raise ValueError(f"The widths of {self.name!r} must be some of {WIDTHS}, not {self.widths!r}")


def _bench(
    bench: str, /, *, trees: tuple[str, ...] = ("imx8",), widths: tuple[int, ...] = WIDTHS, **intents: str
) -> tuple[Scenario, ...]:
    module = f"epbell_tb.benches.endpoint_{bench}"
    return tuple(Scenario(name, module, intent, trees, widths) for name, intent in intents.items())


def _bridge(bench: str, /, *, trees: tuple[str, ...] = ("imx8",), **intents: str) -> tuple[Scenario, ...]:
    """Return scenarios of the bridge: commands every half second make them long, so they run at two widths."""
    return _bench(f"vntb{bench}", trees=trees, widths=(64, 256), **intents)


SCENARIOS: tuple[Scenario, ...] = (
    *_bench(
        "bars",
        enumerate_and_size_bars="The host finds every BAR at its size and can use it from its first to its last dword.",
    ),
    *_bench(
        "pages",
        trees=("imx8", "rk3588", "hdma"),
        every_register="Each register of each page keeps what it should, byte by byte; nothing is beside it; a reset.",
    ),
    *_bench(
        "pages",
        page_requests_of_every_kind="A read of nothing, writes of too much, words of any bits; all is reset.",
        messaging_unit_registers="Host and CPU write any register of their sides: each sees what the other one left.",
    ),
    *_bench(
        "registers",
        trees=("imx8", "rk3588"),
        capabilities_by_probe="Linux's probe reads CAPS, which says what there is, and touches nothing else.",
    ),
    *_bench(
        "registers",
        register_block_is_memory="The idle function's registers are memory, but COMMAND, which a poll picks up.",
    ),
    *_bench(
        "bars",
        trees=("imx8", "hdma", "msi-enospc"),
        bar_test="Linux's BAR test passes on every BAR.",
    ),
    *_bench(
        "bars",
        consecutive_bar_test="Linux's consecutive BAR test passes: no BAR is another one's memory.",
        both_ends_store_to_the_same_words="Host and CPU store to the same words at once: one of the two stays.",
        reads_of_every_alignment="Reads of 0 to 4096 bytes at every alignment are answered right, several at a time.",
    ),
    *_bench(
        "doorbell",
        ring_each_vector="Each vector rings its own interrupt, its word arrives, and the others stay silent.",
        doorbell_test_ten_times="Linux's DOORBELL test passes ten times; BAR addresses and RAM are as before.",
        payload_before_ring="A payload written before the ring is visible in the handler, for all vectors at once.",
        msi_after_status="The host gets one MSI per event, and finds the status when it comes.",
    ),
    *_bench(
        "bells",
        ring_masked_then_unmask="What rings while masked is kept, and handled after the unmask.",
        ring_through_the_express_lane="A ring whose way is known is promised; when a window is aimed, the next is not.",
        thousand_rings_back_to_back="A thousand rings back to back: merges are counted, the last one is handled.",
        ring_in_every_cycle_around_ack="A ring in any cycle around the ack of the one before is never lost.",
    ),
    *_bench(
        "misses",
        wrong_offset="A store beside the doorbells rings nothing.",
        wrong_bar="A store at the doorbell's offset in another BAR rings nothing and lands in that BAR's memory.",
        byte_write="A byte stored to a doorbell rings nothing.",
        half_word_write="A half-word, or anything less than a word, rings nothing.",
        eight_byte_write="Eight bytes are two stores, each of which rings if it is whole.",
        burst_write="Up to four dwords are as many stores; a longer burst is refused.",
        read_of_doorbell="A read returns the last word and rings nothing.",
    ),
    *_bench(
        "refusals",
        ring_before_enable="A store before the doorbell is enabled rings nothing, then or later.",
        ring_after_disable="A store after it is disabled lands in RAM; the doorbell can be enabled again.",
        reset_while_pending="A reset takes pending rings, enables and windows away.",
        poisoned_ring="A poisoned store never rings and is counted.",
        atomics_and_io_refused="Atomic, locked and I/O requests get UR and change nothing.",
    ),
    *_bench(
        "outbound",
        transfers_of_every_size="Linux's READ, WRITE and COPY tests pass from one byte to 1025.",
        reads_with_every_tag="Reads of the host have each of the 32 tags in turn.",
        reads_of_a_cpu_that_hesitates="Reads ahead, of a CPU that takes answers now and then: none is lost.",
        reads_answered_in_any_order="Reads of the host overlap and are answered in any order: each gets its own data.",
        failing_completions="UR, CA, poisoned data or silence fail one read, with cause and address, and no other.",
        no_window_and_no_bus_master="Without a window or without bus mastering the CPU is told, and nothing is sent.",
        payload_before_its_msi="What the CPU wrote to the host before it raised an MSI is there when that arrives.",
        outbound_windows_exhausted="With every outbound window in use one more is refused; each reaches its own page.",
    ),
    *_bench(
        "transfers",
        completions_of_every_size_and_offset="Reads of 1 to 64 bytes at every offset of 16 dwords are answered right.",
        completions_around_boundaries="Reads across 64, 128 and 256 bytes: all byte enables, every maximum payload.",
        requesters_interleaved="Requesters with the same tags read RAM and registers while writes and rings go on.",
        streams_stand_still="CC or RQ stands still for long: credits run out, rings pass, nothing is lost or doubled.",
        link_credits_exhausted="The link's credits of each kind run out and come back: nothing is lost or doubled.",
    ),
    *_bench(
        "rings_meanwhile",
        trees=("imx8", "imx8-edma"),
        transfers_while_doorbells_ring="READ, WRITE and COPY while doorbells ring in another BAR: no ring is lost.",
    ),
    *_bench(
        "errors",
        completions_that_are_no_good="Bad, foreign or missing completions fail their read, with cause and address.",
        errors_are_told="Device Status, AER and error messages tell of what the hard block refuses, drops or misses.",
        malformed_and_poisoned_requests="A malformed or poisoned request is dropped, told of, and never rings.",
    ),
    *_bench(
        "interrupts",
        every_interrupt_type="INTx, MSI and MSI-X in turn: each vector arrives, the DOORBELL test passes with each.",
        msix_held_back="An MSI-X vector raised while masked, disabled or not bus master is pending, and sent once.",
        msi_held_back="An MSI raised while masked or without bus mastering is sent once when it may be.",
        intx_follows_its_level="The host's INTx line follows the level asked for, unless Interrupt Disable is set.",
        disabled_before_the_answer="MSI and MSI-X that are switched off between message and answer are not sent twice.",
        intx_disabled_before_the_answer="A pulse of which the host may not have heard is told again.",
        raises_wait_for_room="Raises for which there is no room wait for it: none is refused, lost or doubled.",
    ),
    *_bench(
        "resets",
        trees=("imx8", "imx8-edma"),
        flr_while_pending="A function-level reset: the CPU keeps a pending ring, the host hears nothing of before.",
        hot_reset_while_pending="A hot reset takes a pending ring away; the doorbell comes back.",
        link_lost_while_busy="The link goes down under a ring and reads: nothing is stale when the host probes anew.",
    ),
    *_bench(
        "resets",
        flr_while_reading="A function-level reset fails what is under way both ways; late completions are dropped.",
        resets_of_other_functions="Resets of functions that there are not are told to be done, and do nothing.",
        flr_with_every_tag="Reads with each tag fail in function-level resets; late completions are not in the way.",
        hot_reset_while_reading="A hot reset ends what is under way both ways; what follows it is right.",
        flr_with_interrupts_due="MSI, MSI-X and INTx from before a function-level reset do not come after it.",
        hot_reset_with_interrupts_due="MSI, MSI-X and INTx from before a hot reset do not come after it.",
    ),
    *_bench(
        "power",
        trees=("imx8", "imx8-edma"),
        ring_with_memory_space_off="With memory space off a ring is refused by the hard block; then it works again.",
        d3hot_while_pending="In D3hot a ring is refused, and the MSI of an earlier one waits for D0.",
    ),
    *_bench(
        "power",
        d3hot_while_reading="Reads under way are answered in D3hot; new ones of the CPU are refused until D0.",
        d3hot_with_interrupts_due="MSI, MSI-X and INTx raised in D3hot come once, in D0.",
    ),
    *_bench(
        "subranges",
        subrange_on_every_bar="Linux's BAR_SUBRANGE test passes on a BAR by the seed (--thorough: each), whole again.",
        inbound_windows_exhausted="Without a window to spare a BAR is not split: -ENOSPC, and it is whole.",
        subrange_on_the_doorbells_bar="A BAR that the doorbell was behind is split and restored; no window is stuck.",
        subrange_while_the_doorbell_is_enabled="Split under an enabled doorbell, a BAR ends as memory; none is stuck.",
        subrange_on_the_doorbell_without_windows="Without windows for that: -ENOSPC, and the BAR is memory.",
    ),
    *_bench(
        "clocks",
        cpu_waits_for_its_turn="While the host keeps the RAM busy, the CPU waits for its turn and no longer.",
        bars_are_asked_for_at_their_pace="The endpoint asks for its BARs in rounds, and leaves the port alone between.",
        accesses_take_their_clocks="At rest each access of the CPU takes the clocks that the documentation says.",
    ),
    *_bench(
        "any_bits",
        requesters_anywhere="Requesters with any ID and tag read what is there and what is not: each its own answer.",
        bars_anywhere="Wherever in 32 bits the host puts the BARs: the controller page shows it.",
        masks_anywhere="Whatever MSIs the host masks: the controller page shows it.",
        failures_anywhere="Whatever address in the aperture a failing access has: OUTBOUND_ADDRESS says it.",
        msix_entries_anywhere="Whatever address in 64 bits and whatever word an entry has: its message is that.",
    ),
    *_bench(
        "window_bits",
        inbound_windows_anywhere="Windows anywhere in 64 bits: addresses beside their edges in any bit, by any BAR.",
        targets_beside_the_ram="Windows to the RAM but for one bit of the target, any: what is not RAM is not reached.",
        outbound_windows_anywhere="Windows that lead anywhere: marks, and addresses beside their edges in any bit.",
    ),
    *_bench(
        "windows",
        retarget_in_flight="A BAR is aimed elsewhere while requests stream: each meets the old or the new window.",
        retarget_by_address_in_flight="A slice over a BAR moves while requests stream; the lowest window decides.",
        windows_at_their_edges="First and last dword are in, their neighbours not; the upper half of addresses counts.",
        target_error="Where nothing answers a ring is counted and no interrupt; the next good one works.",
    ),
    *_bench(
        "bar_sizes",
        bar_sizes_with_memory="BARs of any size have memory of their own, to the last dword, or refuse.",
        bar_sizes_with_doorbells="Linux puts the doorbells behind BARs of any size: they ring, or it says -EINVAL.",
        bar_sizes_by_hand="Behind BARs of any size a doorbell is at its address modulo the size.",
    ),
    *_bench(
        "windows",
        trees=("imx8-edma",),
        edma_target_error="Where nothing answers a ring of the eDMA is counted; the next good one works.",
    ),
    *_bench(
        "msi",
        msi_grants="The host grants 1 to 32 MSIs of those it is offered: each arrives as itself, data are aligned.",
        msi_test_of_each_count="Linux's MSI test passes on functions with 1 to 32 vectors; one more is -EINVAL.",
        msi_masked_one_by_one="Each MSI raised while masked is pending, and sent once at its own unmask.",
        msi_raised_while_disabled="MSIs raised while they may not be sent, however many, are sent once when they may.",
    ),
    *_bench(
        "msix",
        msix_pending_words="Vectors at both ends of each word of pending bits are pending, and sent once.",
    ),
    *_bench(
        "msix_anywhere",
        vector_controls_by_any_write="Masks by single bytes, and of several vectors at once: each does what it says.",
        msix_anywhere="The table anywhere in RAM, messages to anywhere in 64 bits: each is its entry's, masks count.",
    ),
    *_bench(
        "msix_large",
        msix_pending_anywhere="Vectors all over a large table are pending in their bits, and sent once when they may.",
        msix_entry_written_while_offered="An entry written while its message waits: masked, or sent as it is then.",
    ),
    *_bench(
        "interrupt_order",
        interrupts_queue_up="Interrupts raised while one is under way wait for it; none is lost or doubled.",
        interrupts_follow_their_writes="No interrupt comes before what the CPU wrote first, however long RQ stalls.",
        irq_type_changed_before_the_ring="IRQ_TYPE changed between enable and ring: the ring uses the new one.",
        irq_number_zero_or_over_count="IRQ_NUMBER of 0 or beyond the granted ones: nothing comes, the work goes on.",
    ),
    *_bench(
        "backends",
        trees=TREES,
        doorbell_test_on_each_backend="Linux takes the doorbell that the device tree leads to, or fails as Linux does.",
    ),
    *_bench(
        "polling",
        trees=("hdma",),
        polled_doorbell_test_ten_times="Linux's DOORBELL test passes ten times on a word that the endpoint polls.",
        polled_word_around_enable="A store to the polled word counts once while it is a doorbell, and never else.",
    ),
    *_bench(
        "edma",
        trees=("imx8-edma",),
        edma_any_data_any_bytes="Any word and any byte of either INT_STATUS rings; a store of no byte does not.",
        edma_masked_and_disabled="A ring asserts with every interrupt masked and both engines disabled.",
    ),
    *_bench(
        "edma",
        trees=("imx8-edma", "rk3588"),
        edma_rings_back_to_back="N rings give 1 to N interrupts, and the last handler run sees the last.",
        edma_ring_in_every_cycle_around_ack="A ring in any cycle around the acks of the one before is handled.",
    ),
    *_bench(
        "edma",
        trees=("imx8-edma",),
        edma_payload_before_ring="A payload written before the ring is visible in the handler.",
    ),
    *_bench(
        "edma",
        trees=("imx8-edma", "rk3588"),
        edma_doorbell_test_ten_times="Linux's DOORBELL test passes ten times; BAR addresses and RAM are as before.",
    ),
    *_bench(
        "edma",
        trees=("imx8-edma",),
        edma_doorbells_share_one_kick="Eight doorbells are one address, one word, one interrupt: a kick is for all.",
        edma_read_of_doorbell="A read of the doorbell is answered and rings nothing.",
        edma_enable_twice="A second enable and a disable without enable fail; the first doorbell goes on ringing.",
        edma_unaligned_doorbell="A doorbell at an unaligned address is refused: no doorbell, one interrupt, no trace.",
    ),
    *_bench(
        "edma_exact",
        trees=("imx8-edma", "rk3588"),
        edma_ring_in_the_cycle_of_the_ack="A ring in the cycle of an ack, or after it, stays; before it, it merges.",
        edma_done_in_the_cycle_of_a_ring="DONE or ABORT in the cycle of a ring: the line rises once, both are kept.",
        edma_done_in_the_cycle_of_the_ack="DONE or ABORT in the cycle of its own clear stays, and the line with it.",
        edma_clear_drops_what_it_names="INT_CLEAR drops the DONE bits that it names, and the doorbell's latch always.",
    ),
    *_bench(
        "edma_done",
        trees=("imx8-edma",),
        edma_dma_traffic="Channels end and abort while doorbells ring: each end and each ring is handled.",
        edma_done_with_every_ring="A channel ends in each cycle around a ring: its clear loses no doorbell.",
    ),
    *_bench(
        "edma_early",
        trees=("imx8-edma",),
        edma_nobody_listens="A kick that no handler waits for is acknowledged; the line does not storm.",
        edma_kick_before_boot="A kick before the boot is gone when the driver asks for its interrupts.",
        edma_kick_before_the_virtual_irq="A kick before the doorbell's interrupt exists is taken away when it does.",
        edma_ring_after_disable="A store after the doorbell is disabled lands in RAM; it can be enabled again.",
        edma_reset_while_latched="A reset takes latch, DONE, masks, window and counters away.",
    ),
    *_bench(
        "edma_misses",
        trees=("imx8-edma", "rk3588"),
        edma_rest_of_the_page="Whatever else is in the eDMA page is refused, counted and unchanged.",
        edma_clear_by_the_host="The host cannot take a doorbell back.",
        edma_longer_than_a_word="A store or read of more than one word is refused as a whole.",
    ),
    *_bench(
        "edma_misses",
        trees=("imx8-edma",),
        edma_other_pages="The windows' registers and the controller's page are refused behind any BAR.",
        edma_poisoned_ring="A poisoned store never rings and is counted.",
    ),
    *_bench(
        "edma_misses",
        trees=("imx8-edma", "rk3588"),
        edma_wrong_bar="A store at the doorbell's offset in another BAR lands in that BAR's memory.",
    ),
    *_bench(
        "edma_lines",
        trees=("rk3588",),
        edma_every_line="Four lines rise together; a burst is handled at least once, and no line is stuck.",
        edma_fixed_bar_by_linux="A doorbell in a fixed BAR touches no window, and is harmless when disabled.",
        edma_kick_while_linux_boots="Kicks at any time of the boot leave the line low and the doorbell working.",
        edma_fixed_bar_without_windows="The fixed BAR shows the doorbells with every window off, and nothing else.",
    ),
    *_bench(
        "edma_lines",
        edma_and_messaging_unit="Both doorbells rung together are both dispatched; each ack clears its own only.",
    ),
    *_bridge(
        "",
        trees=_BRIDGES,
        vntb_control_block="The bridge's control block has each field where the host's driver expects it.",
    ),
    *_bridge(
        "",
        trees=("msi-enomem",),
        vntb_vectors="The host's driver of the bridge binds with 4 vectors or more, and has all but two for doorbells.",
        vntb_bars_of_an_rcar="The bridge works with the doorbells in BAR 4 and the window in BAR 2, as an R-Car's.",
    ),
    *_bridge(
        "",
        vntb_scratchpads="Scratchpads of either end cross the bridge, and none is beside where it belongs.",
        vntb_counts_of_slots="With a number of slots that cannot be, the bridge is not bound: -EINVAL.",
    ),
    *_bridge(
        "_doorbells",
        trees=_BRIDGES,
        vntb_rings_of_the_host="Bit k rung by the host is one store to slot k + 2 of the bridge.",
        vntb_slots_that_never_ring="Slots 0 and 1 of the bridge ring nothing.",
        vntb_rings_of_the_endpoint="Bit k rung by the endpoint is MSI k + 3 of the bridge; the first two never come.",
        vntb_slots_that_the_peer_lacks="A ring of a slot that the endpoint lacks stores 0: no doorbell, no damage.",
        vntb_four_vectors="A host with 4 vectors has two bits: a third is -EINVAL.",
    ),
    *_bridge(
        "_doorbells",
        trees=("imx8", "msi-enomem"),
        vntb_rings_of_v71="An endpoint of v7.1 has its bits one too high, and rings at once.",
    ),
    *_bridge(
        "_doorbells",
        trees=("msi-enomem",),
        vntb_every_bit_both_ways="All 14 bits of 16 slots ring from both ends at once.",
    ),
    *_bridge(
        "_doorbells",
        vntb_more_slots_than_channels="Five slots on a Messaging Unit of four channels are polled.",
    ),
    *_bridge(
        "_polling",
        trees=("msi-enomem",),
        vntb_polled_rings="A polled ring is seen and cleared within a tick; two rings before it are one.",
    ),
    *_bridge(
        "_polling",
        trees=_BRIDGES,
        vntb_pings="A hundred pings take any time up to a tick if polled, and a fifth of that by interrupts.",
    ),
    *_bridge(
        "_commands",
        vntb_commands_in_time="While doorbells interrupt, the bridge answers commands every half second.",
    ),
    *_bridge(
        "_commands",
        trees=("msi-enomem",),
        vntb_commands_that_fail="A window that cannot be mapped is -EINVAL, an unknown command has no answer.",
    ),
    *_bridge(
        "_span",
        vntb_window_of_all_messages="The doorbells' window covers all messages, or the slots are polled.",
    ),
    *_bridge(
        "_span",
        trees=("imx8", "imx8-edma"),
        vntb_messages_of_all_slots="Four slots are four messages of the Messaging Unit, or one kick of the eDMA.",
    ),
    *_bridge(
        "_transport",
        trees=_BRIDGES,
        vntb_frames_in_order="Frames both ways at full rate arrive in order, their versions contiguous, no stall.",
        vntb_lost_ring="A frame whose doorbell is lost waits for the next one, which brings both.",
    ),
    *_bridge(
        "_transport",
        trees=("imx8", "msi-enomem"),
        vntb_link_up_and_down="The transport's link comes up and goes down again and again, one side late.",
    ),
    *_bridge(
        "_transport",
        trees=("msi-enomem",),
        vntb_link_mismatch="Sides that differ in version, queues or windows never have a link, and go on looking.",
    ),
)
"""Every scenario, in the order in which they are shown."""
