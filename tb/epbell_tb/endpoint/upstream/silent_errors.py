"""No error leaves a trace: Device Status, Status and AER stay as they are, no error message is sent.

cocotbext-pcie 0.2.16: the registers exist (``core.caps.pcie``, ``core.caps.aer``, ``core.function``) and software can
clear them, but nothing ever sets a bit of them, whatever is received.

What we do: `SilentErrors.report` does what PCI Express, 6.2.5 (figure "flowchart showing sequence of device error
signaling and logging operations") has a function do for an error that its hard block detects. One thing is not known
of silicon: a poisoned request is always a non-fatal error here, never an advisory one (6.2.3.2.4.3 allows either). The
header of a request that the *user* refuses is the one that comes with the refusal (AMD PG213, "Completions with Error
Status (UR and CA)"). Gone when ``unsupported_request_detected`` is set after a request that no BAR claims.
"""

from enum import Enum
from typing import Any

from cocotbext.pcie.core.tlp import Tlp, TlpType
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice

from epbell_tb.endpoint.upstream.hidden_aer import show_extended_capabilities

__all__ = [
    "ERR_COR",
    "ERR_FATAL",
    "ERR_NONFATAL",
    "Error",
    "SilentErrors",
]

_Stock: Any = UltraScalePlusPcieDevice

ERR_COR = 0x30
ERR_NONFATAL = 0x31
ERR_FATAL = 0x33
"""Message codes (2.2.8.3)."""


class Error(Enum):
    """What may be wrong with a packet, or with one that never comes: name in the stock model, bit in AER."""

    POISONED = "poisoned_tlp_received", 12
    COMPLETION_TIMEOUT = "completion_timeout", 14
    COMPLETER_ABORT = "completer_abort", 15
    UNEXPECTED_COMPLETION = "unexpected_completion", 16
    MALFORMED = "malformed_tlp", 18
    UNSUPPORTED = "unsupported_request_error", 20

    @property
    def bit(self) -> int:
        """Its bit in the registers of AER."""
        return self.value[1]

    def of(self, aer: Any, what: str) -> bool:
        """Return its ``status``, ``mask`` or ``severity``."""
        return bool(getattr(aer, f"{self.value[0]}_{what}"))

    def log(self, aer: Any) -> None:
        """Set its bit of Uncorrectable Error Status."""
        setattr(aer, f"{self.value[0]}_status", True)


class SilentErrors(_Stock):
    """Function 0 keeps account of errors."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_extended_capabilities(self.functions[0])

    async def report(self, error: Error, tlp: Tlp | None = None, *, advisory: bool = False) -> None:
        """Log and signal an error.

        Parameters
        ----------
        error
            What is wrong.
        tlp
            The packet, for the header log.
        advisory
            Somebody else knows of it and decides how bad it is (6.2.3.2.4): the one whose request is answered so.
        """
        function = self.functions[0]
        device, aer = function.pcie_cap, function.aer_ext_cap
        fatal = error.of(aer, "severity")
        advisory = advisory and not fatal
        device.unsupported_request_detected |= error is Error.UNSUPPORTED
        function.detected_parity_error |= error is Error.POISONED
        if advisory:
            device.correctable_error_detected = True
            aer.advisory_nonfatal_error_status = True
            if aer.advisory_nonfatal_error_mask:
                return
        elif fatal:
            device.fatal_error_detected = True
        else:
            device.nonfatal_error_detected = True
        pending = any(other.of(aer, "status") and not other.of(aer, "mask") for other in Error)
        error.log(aer)
        if error.of(aer, "mask"):
            return
        if not pending:
            aer.first_error_pointer, aer.header_log = error.bit, _header(tlp)
        if self._wanted(error, fatal=fatal, advisory=advisory):
            await self._message(ERR_COR if advisory else ERR_FATAL if fatal else ERR_NONFATAL)

    def _wanted(self, error: Error, *, fatal: bool, advisory: bool) -> bool:
        """Return whether the host wants to hear of it."""
        function = self.functions[0]
        device = function.pcie_cap
        requests = device.unsupported_request_reporting_enable or error is not Error.UNSUPPORTED
        if advisory:
            return bool(requests and device.correctable_error_reporting_enable)
        if function.serr_enable:
            function.signaled_system_error = True
            return True
        enabled = device.fatal_error_reporting_enable if fatal else device.non_fatal_error_reporting_enable
        return bool(requests and enabled)

    async def _message(self, code: int) -> None:
        message = Tlp()
        message.fmt_type = TlpType.MSG_TO_RC
        message.requester_id = self.functions[0].pcie_id
        # The message code is in the byte that has the byte enables of other requests.
        message.last_be, message.first_be = divmod(code, 16)
        await self.send(message)


def _header(tlp: Tlp | None) -> list[int]:
    """Return four dwords for the header log."""
    packed = bytes(tlp.pack_header()) if tlp is not None else b""
    return [int.from_bytes(packed[at : at + 4], "big") for at in range(0, 16, 4)]
