"""A read while bus mastering is off gets no answer.

cocotbext-pcie 0.2.16, ``xilinx.us.usp_model``, ``_run_rq_logic`` and ``_run_rq_np_queue_logic`` ("TODO: internal
response"): requests of a function without Bus Master Enable are dropped without a word, and so the user's read never
ends and its tag is never free. The hard block ends it as an Unsupported Request.

What we do: `DroppedWithoutMaster.not_sent` ends reads at once, and keeps what was not sent. Gone when the "TODO" is.
"""

from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.xilinx.us import UltraScalePlusPcieDevice
from cocotbext.pcie.xilinx.us.tlp import ErrorCode, Tlp_us

__all__ = [
    "DroppedWithoutMaster",
    "notice",
]

_Stock: Any = UltraScalePlusPcieDevice


def notice(request: Tlp_us, error: ErrorCode, status: CplStatus) -> Tlp_us:
    """Return what tells the user that a request has ended, without a completion of the host's."""
    told = Tlp_us()
    told.fmt_type = TlpType.CPL
    told.tag, told.tc, told.attr = request.tag, request.tc, request.attr
    told.requester_id = request.requester_id
    told.error_code, told.status, told.request_completed = error, status, True
    return told


class DroppedWithoutMaster(_Stock):
    """Answers what may not be sent.

    Attributes
    ----------
    not_master
        Requests that were not sent because the host had bus mastering off.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.not_master: list[Tlp_us] = []
        super().__init__(*args, **kwargs)

    def not_sent(self, request: Tlp_us) -> None:
        """Take a request that may not be sent."""
        self.not_master.append(request)
        if request.is_nonposted():
            self.rc_queue.put_nowait(notice(request, ErrorCode.BAD_STATUS, CplStatus.UR))
