"""What must be the same again when Linux's whole selftest has run once, and runs once more."""

from typing import Any

from epbell_tb.endpoint.env import EndpointEnv

__all__ = [
    "Rounds",
]


class Rounds:
    """Compares, after each round of tests, what they may not leave behind with what there was before the first.

    Parameters
    ----------
    env
        The environment.
    tests
        How many tests a round has.

    Attributes
    ----------
    ended
        How many rounds have ended.
    """

    def __init__(self, env: EndpointEnv, tests: int) -> None:
        self.ended = 0
        self._env = env
        self._tests = tests
        self._done = 0
        self._before: dict[str, Any] = {}

    def begin(self) -> None:
        """Note how everything is before the first test."""
        self._before = self._state()
        for name in ("split BARs", "outbound windows", "doorbells", "buffers"):
            assert not self._before[name], f"{name} before the first test: {self._before[name]}"

    def line(self, text: str) -> None:
        """Take a line of TAP: some of them are ends of tests."""
        if not text.startswith(("ok ", "not ok ")):
            return
        self._done += 1
        if self._done % self._tests:
            return
        self.ended += 1
        now = self._state()
        for name, was in self._before.items():
            assert now[name] == was, f"{name} after round {self.ended}: {now[name]!r}, not {was!r}"

    def _state(self) -> dict[str, Any]:
        env = self._env
        controller, board = env.software.controller, env.board
        leads = board.reference.windows.translate
        places = {
            bar: [leads(bar, 0, offset, env.address(bar, offset)) for offset in (0, size // 2, size - 4)]
            for bar, size in enumerate(env.bar_sizes)
            if size
        }
        return {
            "what is behind the BARs": repr(places),
            "BARs with a window": sorted(controller.bar_to_window),
            "split BARs": dict(controller.bar_to_windows),
            "outbound windows": dict(controller.outbound),
            "doorbells": list(env.software.function.epf.doorbells),
            "buffers": env.to_host.memory.granted,
            "interrupts": [line.level() for line in (env.irq_mu, *env.irq_edma, env.to_host.intx)],
        }
