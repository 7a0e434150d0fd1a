"""Two guests with the RTL between them, whose Linux runs pci-epf-vntb."""

from __future__ import annotations

import json

from epbell_tb.guest.rtl_sim import RtlSimulation
from epbell_tb.guest.two_guests import Socket
from epbell_tb.guest.vntb_guests import wrong_doorbell

__all__ = [
    "VntbSimulation",
]


class VntbSimulation(RtlSimulation):
    """A simulation of the RTL that waits for two guests: `epbell_tb.guest.ntb_run.Bridge`."""

    bench = "epbell_tb.benches.endpoint_ntb"

    def attach(self, host: Socket, peer: Socket) -> None:
        """Hand both guests over."""
        self.hand_over(json.dumps([str(host[1]), str(peer[1])]), host[0], peer[0])

    def finish(self) -> list[str]:
        """Wait until the simulation has seen both guests go, and return what it has to tell."""
        figures = self.figures()
        wrong = wrong_doorbell(self.setup.dts, figures["doorbell"], figures["reason"])
        if wrong:
            raise RuntimeError(wrong)
        why = f" ({figures['reason']})" if figures["reason"] else ""
        accesses = figures["host"]["reads"] + figures["host"]["writes"]
        traffic = f"{accesses} accesses of the host's, {figures['interrupts']} interrupts to it"
        return [
            f"doorbell {figures['doorbell'] or 'none'}{why}",
            figures["rings"],
            f"{traffic}, {figures['copied']} bytes copied for the peer, {figures['clocks']} clocks",
        ]
