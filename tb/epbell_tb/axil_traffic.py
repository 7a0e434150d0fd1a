"""One AXI4-Lite port in random traffic: what its manager drives, and what the bridge behind it has to answer.

The expectations are those that the documentation of the bridge (``epbell.axil.Bridge``) states for every clock, so
each output is known in each of them, whatever the manager does: address before data or after it, answers left waiting,
requests taken back, anything at all on the lines while valid is low.
"""

from __future__ import annotations

import random

__all__ = ["Port"]

Write = tuple[int, int, int]

_MOODS = ((1.0, 1.0), (0.9, 0.5), (0.5, 0.9), (0.7, 0.1), (0.3, 1.0))
"""How likely a manager offers what it has, and takes an answer, in a clock; each lasts for a while."""
_MOOD_CLOCKS = 64
_TAKEN_BACK = 0.02


class Port:
    """A port.

    Parameters
    ----------
    rng : random.Random
        Where the choices come from.
    addr_width : int
        Width of the addresses in bits.
    registered : bool
        Whether accesses are decoded a clock ahead.

    Attributes
    ----------
    inputs : dict of str to int
        What the manager drives in this clock, by the names of AXI4-Lite.
    """

    def __init__(self, rng: random.Random, addr_width: int = 16, *, registered: bool = False) -> None:
        self._random = rng
        self._addr_width = addr_width
        self._registered = registered
        # What has been accepted and is decoded.
        self._next_write: Write | None = None
        self._next_read: int | None = None
        self._write: Write | None = None
        self._read: int | None = None
        self._address = self._data = self._asked = False
        self._bvalid = self._rvalid = False
        self._rdata = 0
        self._clock = 0
        self.inputs: dict[str, int] = {}

    def drive(self, write: Write | None, read: int | None) -> None:
        """Decide what the manager does in the next clock; new accesses are for the directions that are free."""
        rng = self._random
        if self._clock % _MOOD_CLOCKS == 0:
            self._mood = rng.choice(_MOODS)
        self._clock += 1
        offers, takes = self._mood
        if self._write is None:
            self._write, self._address, self._data = write, False, False
        if self._read is None:
            self._read, self._asked = read, False
        if self._write is not None:
            self._address |= rng.random() < offers
            self._data |= rng.random() < offers
        if self._read is not None:
            self._asked |= rng.random() < offers
        if rng.random() < _TAKEN_BACK:
            self._address = self._data = self._asked = False
        offset, data, strobes = self._write if self._write is not None else (0, 0, 0)
        noise = rng.getrandbits(self._addr_width), rng.getrandbits(32), rng.getrandbits(4)
        self.inputs = {
            "awvalid": int(self._address),
            "awaddr": offset if self._address else noise[0],
            "awprot": rng.getrandbits(3),
            "wvalid": int(self._data),
            "wdata": data if self._data else noise[1],
            "wstrb": strobes if self._data else noise[2],
            "bready": int(rng.random() < takes),
            "arvalid": int(self._asked),
            "araddr": self._read if self._asked and self._read is not None else noise[0],
            "arprot": rng.getrandbits(3),
            "rready": int(rng.random() < takes),
        }

    def outputs(self) -> dict[str, int]:
        """Return what the bridge has to show in this clock; ``rdata`` only while there is an answer."""
        shown = {
            "awready": int(self._writes),
            "wready": int(self._writes),
            "bvalid": int(self._bvalid),
            "bresp": 0,
            "arready": int(self._takes_read),
            "rvalid": int(self._rvalid),
            "rresp": 0,
        }
        return {**shown, "rdata": self._rdata} if self._rvalid else shown

    def accepted(self) -> tuple[Write | None, int | None]:
        """Return the write and the read that reach the registers in this clock."""
        if self._registered:
            return self._next_write, self._next_read if self._room else None
        return self._write if self._writes else None, self._read if self._asked and self._room else None

    def step(self, data: int) -> None:
        """End the clock; `data` is what the registers gave to its read."""
        takes_write, takes_read, read = self._writes, self._asked and self._takes_read, self.accepted()[1]
        if self._room:
            self._rvalid = read is not None
        if read is not None:
            self._rdata, self._next_read = data, None
        self._next_write = self._write if takes_write else None
        if takes_read:
            self._next_read, self._read, self._asked = self._read, None, False
        self._bvalid = takes_write or (self._bvalid and not self.inputs["bready"])
        if takes_write:
            self._write, self._address, self._data = None, False, False

    def reset(self) -> None:
        """End a clock in which ``rst`` was high: no answer is left, and the manager begins anew."""
        self._write = self._read = self._next_write = self._next_read = None
        self._address = self._data = self._asked = False
        self._bvalid = self._rvalid = False

    @property
    def _writes(self) -> bool:
        return self._address and self._data and (not self._bvalid or bool(self.inputs["bready"]))

    @property
    def _room(self) -> bool:
        return not self._rvalid or bool(self.inputs["rready"])

    @property
    def _takes_read(self) -> bool:
        return self._room or (self._registered and self._next_read is None)
