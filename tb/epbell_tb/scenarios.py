"""The scenarios of the endpoint: which there are, where, on which device trees, and what each one shows.

Needs no simulator.
"""

from dataclasses import dataclass

__all__ = [
    "SCENARIOS",
    "TREES",
    "Scenario",
]

TREES = ("imx8", "imx8-edma", "rk3588", "hdma", "msi-enospc", "msi-enomem")
"""Every device tree that ships with the models."""


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

    Raises
    ------
    ValueError
        If there is no such device tree, or none at all.
    """

    name: str
    bench: str
    intent: str
    trees: tuple[str, ...] = ("imx8",)

    def __post_init__(self) -> None:
        if not self.trees or not set(self.trees) <= set(TREES):
            raise ValueError(f"The device trees of {self.name!r} must be some of {TREES}, not {self.trees!r}")


def _bench(bench: str, /, *, trees: tuple[str, ...] = ("imx8",), **intents: str) -> tuple[Scenario, ...]:
    module = f"epbell_tb.benches.endpoint_{bench}"
    return tuple(Scenario(name, module, intent, trees) for name, intent in intents.items())


SCENARIOS: tuple[Scenario, ...] = (
    *_bench(
        "bars",
        enumerate_and_size_bars="The host finds every BAR at its size and can use it from its first to its last dword.",
        bar_test="Linux's BAR test passes on every BAR.",
        consecutive_bar_test="Linux's consecutive BAR test passes: no BAR is another one's memory.",
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
)
"""Every scenario, in the order in which they are shown."""
