"""The endpoint with its transport: all of a board but clock and pins."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, ClockDomain, ClockSignal, Const, DomainRenamer, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2
from amaranth.vendor import LatticePlatform

from epbell.bar import DEFAULT_BARS, Bar, check_bars
from epbell.endpoint import Endpoint
from epbell.serial.collector import Collector
from epbell.serial.frame import VERSION
from epbell.serial.leds import EVENTS, Leds
from epbell.serial.manager import Manager
from epbell.serial.player import Player
from epbell.serial.receiver import Receiver
from epbell.serial.transmitter import Transmitter
from epbell.serial.uart import UartReceiver, UartTransmitter

__all__ = ["SerialEndpoint", "hello"]

_RESET = 16  # clocks that the endpoint is reset for


def hello(
    width: int,
    *,
    bars: Sequence[Bar | None],
    windows: int,
    outbound_windows: int,
    reads: int,
    ram_size: int,
    clock: int,
) -> tuple[int, ...]:
    """Return what a HELLO says of an endpoint: three dwords; `clock` is in Hz."""
    sizes = [exact_log2(bar.size) if bar else 0 for bar in check_bars(bars)]
    return (
        VERSION | width // 32 << 8 | reads << 16 | windows - 1 << 24 | outbound_windows - 1 << 28,
        sum(size << 5 * number for number, size in enumerate(sizes)),
        clock // 1000 | exact_log2(ram_size) << 24,
    )


class SerialEndpoint(wiring.Component):
    """An :class:`Endpoint` whose hard block is a host at the other end of a serial port.

    RESET, the host's first frame, resets it; so does ``rst``. Completions and requests have up to 128 bytes of payload.
    The hard block's port for MSI-X is not there: the messages leave on RQ.

    Parameters
    ----------
    width : int
        Width of the PCIe streams in bits.
    divisor : int
        Clocks of a bit on the wire, 4 or more.
    clock : int
        Frequency in Hz, which the host is told.
    patience : int
        Clocks after which what the host has not acknowledged is sent again.
    endpoint : keyword arguments
        Of :class:`Endpoint`.

    Attributes
    ----------
    rx, tx : In(1), Out(1)
        The wires.
    leds : Out(8)
        See :class:`Leds`.
    """

    rx: Any
    tx: Any
    leds: Any

    def __init__(
        self, width: int = 64, *, divisor: int, clock: int = 0, patience: int = 1 << 20, **endpoint: Any
    ) -> None:
        self._endpoint = Endpoint(width, **endpoint)
        told = {
            "bars": endpoint.get("bars", DEFAULT_BARS),
            "windows": endpoint.get("windows", 6),
            "outbound_windows": endpoint.get("outbound_windows", 6),
            "reads": endpoint.get("reads", 8),
            "ram_size": endpoint.get("ram_size", 2 << 20),
        }
        self._receiver = Receiver()
        self._transmitter = Transmitter(hello(width, clock=clock, **told), patience)
        self._uart = UartReceiver(divisor), UartTransmitter(divisor)
        self._player, self._manager, self._collector = Player(width), Manager(), Collector(width)
        super().__init__({"rx": In(1), "tx": Out(1), "leds": Out(len(EVENTS))})

    def elaborate(self, platform: object) -> Module:
        """Wires, link, messages, endpoint."""
        m: Any = Module()
        receiver, transmitter = self._receiver, self._transmitter
        player, manager, collector = self._player, self._manager, self._collector
        m.submodules.uart_rx, m.submodules.uart_tx = rx, tx = self._uart
        m.submodules.receiver, m.submodules.transmitter = receiver, transmitter
        held = self._reset(m, platform, receiver.heard.reset)
        resets = DomainRenamer("endpoint")
        m.submodules.player = resets(player)
        m.submodules.manager = resets(manager)
        m.submodules.collector = resets(collector)
        m.submodules.endpoint = resets(self._endpoint)
        m.d.comb += [
            rx.rx.eq(self.rx),
            self.tx.eq(tx.tx),
            receiver.data.eq(rx.data),
            receiver.valid.eq(rx.valid),
            player.messages.valid.eq(receiver.messages.valid & ~held),
            receiver.messages.ready.eq(player.messages.ready & ~held),
        ]
        m.d.comb += [
            getattr(player.messages, name).eq(getattr(receiver.messages, name)) for name in ("word", "first", "last")
        ]
        wiring.connect(m, transmitter.bytes, tx.bytes)
        wiring.connect(m, receiver.heard, transmitter.heard)
        wiring.connect(m, collector.outbox, transmitter.outbox)
        self._software(m)
        self._hard_block(m)
        self._show(m, rx, tx)
        return m

    def _reset(self, m: Any, platform: object, begins: Any) -> Any:
        """Make the domain of all that RESET resets, on the same clock; return that it is in reset, or will be.

        Its reset is a flip-flop of its own. On a board, an ECP5, that goes to a buffer of a clock net: in the fabric's
        wires there is no room for it beside the logic.
        """
        left: Any = Signal(range(_RESET + 1), init=_RESET)  # clocks that the reset goes on for
        with m.If(begins):
            m.d.sync += left.eq(_RESET)
        with m.Elif(left.any()):
            m.d.sync += left.eq(left - 1)
        resets: Any = Signal(init=1)
        m.d.sync += resets.eq(left.any())
        m.domains.endpoint = ClockDomain(local=True)
        m.d.comb += ClockSignal("endpoint").eq(ClockSignal())
        if isinstance(platform, LatticePlatform):
            m.submodules.buffer = Instance("DCCA", i_CLKI=resets, i_CE=Const(1), o_CLKO=ResetSignal("endpoint"))
        else:
            m.d.comb += ResetSignal("endpoint").eq(resets)
        return left.any() | resets

    def _software(self, m: Any) -> None:
        """Connect the CPU."""
        player, manager, collector = self._player, self._manager, self._collector
        wiring.connect(m, manager.axil, self._endpoint.cpu_axil)
        m.d.comb += [
            manager.valid.eq(player.access_valid),
            manager.access.eq(player.access),
            player.access_ready.eq(manager.ready),
            collector.answered.eq(manager.answered),
            collector.answer.eq(manager.answer),
            manager.taken.eq(collector.taken),
            player.quiet.eq(collector.quiet & manager.ready),
            collector.settled.eq(player.settled),
            player.settled_taken.eq(collector.settled_taken),
        ]

    def _hard_block(self, m: Any) -> None:
        """Connect streams and pins as a hard block would."""
        endpoint, player, collector = self._endpoint, self._player, self._collector
        wiring.connect(m, player.cq, endpoint.s_axis_cq)
        wiring.connect(m, player.rc, endpoint.s_axis_rc)
        wiring.connect(m, endpoint.m_axis_cc, collector.cc)
        wiring.connect(m, endpoint.m_axis_rq, collector.rq)
        pins, seen = player.pins, collector.pins
        msi, msix, intx, config = (
            endpoint.cfg_interrupt_msi, endpoint.cfg_interrupt_msix, endpoint.cfg_interrupt, endpoint.cfg_mgmt
        )  # fmt: skip
        m.d.comb += [
            endpoint.cfg_function_status.eq(pins.function_status),
            endpoint.cfg_function_power_state.eq(pins.power_state),
            endpoint.cfg_flr_in_process.eq(pins.flr_in_process),
            msi.enable.eq(pins.msi_enable),
            msi.mmenable.eq(pins.msi_multiple),
            msi.mask_update.eq(pins.msi_mask_update),
            msi.data.eq(pins.msi_mask),
            msi.sent.eq(pins.msi_sent),
            msi.fail.eq(pins.msi_fail),
            msix.enable.eq(pins.msix_enable),
            msix.mask.eq(pins.msix_mask),
            intx.sent.eq(pins.intx_sent),
            seen.irq_mu.eq(endpoint.irq_mu),
            seen.irq_edma.eq(endpoint.irq_edma[0]),
            seen.intx.eq(intx.int[0]),
            seen.intx_pending.eq(intx.pending[0]),
            seen.flr_done.eq(endpoint.cfg_flr_done[0]),
            seen.msi.eq(msi.int),
            seen.msi_pending.eq(msi.pending_status),
            config.read_data.eq(Array(player.bars)[(config.addr - 4)[:3]]),
        ]
        m.d.sync += config.read_write_done.eq(config.read & ~config.read_write_done)
        for name in ("wr_done", "wr_abort", "rd_done", "rd_abort"):
            m.d.comb += getattr(endpoint, f"edma_{name}").eq(getattr(pins, name))

    def _show(self, m: Any, rx: Any, tx: Any) -> None:
        """Light the LEDs."""
        endpoint, receiver = self._endpoint, self._receiver
        m.submodules.leds = leds = Leds()
        interrupts = (
            endpoint.cfg_interrupt_msi.int.any()
            | endpoint.cfg_interrupt.int[0]
            | (endpoint.m_axis_rq.tvalid & endpoint.m_axis_rq.tready)
        )
        m.d.comb += [
            leds.irq_mu.eq(endpoint.irq_mu),
            leds.irq_edma.eq(endpoint.irq_edma[0]),
            leds.to_host.eq(interrupts),
            leds.session.eq(receiver.heard.epoch.any()),
            leds.received.eq(rx.valid),
            leds.sent.eq(tx.bytes.valid),
            leds.bad.eq(receiver.bad),
            leds.repeated.eq(self._transmitter.repeated),
            self.leds.eq(leds.leds),
        ]
