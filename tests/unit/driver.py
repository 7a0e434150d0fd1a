"""Inputs of a design in Amaranth's simulator, set together.

Each ``ctx.set`` settles the whole design, which takes longer than anything else a test does.
"""

from amaranth.hdl import Cat, Value


class Driver:
    """Keeps what is to be driven until :meth:`settle`, and leaves what has not changed."""

    def __init__(self, ctx):
        self._ctx = ctx
        self._last = {}
        self._new = {}

    def put(self, port, value):
        """Drive a port from the next call of `settle` on. Nobody else may drive it."""
        known = self._last.get(id(port))
        if known is None or known[1] != value:
            self._new[id(port)] = port, int(value)

    def drive(self, *pairs):
        """Drive inputs, given as (port, value), and settle."""
        for port, value in pairs:
            self.put(port, value)
        self.settle()

    def settle(self):
        if not self._new:
            return
        together, shift = 0, 0
        for key, (port, value) in self._new.items():
            width = len(Value.cast(port))
            together |= (value & (1 << width) - 1) << shift
            shift += width
            self._last[key] = port, value  # which keeps the port alive, and its identity its own
        self._ctx.set(Cat(*(port for port, _ in self._new.values())), together)
        self._new = {}
