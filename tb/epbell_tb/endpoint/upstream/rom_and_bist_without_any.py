"""A function without an expansion ROM and without a built-in self test stores what enables and starts them.

cocotbext-pcie 0.2.16, ``core.endpoint`` and ``core.function``, ``write_config_register``: Expansion ROM Enable and
Start BIST read back as written, the latter with the byte enable of its neighbour. What a function lacks is hard-wired
to zero (PCI Express, 7.5.1.2.4 and 7.5.1.1.9): a host that sets all bits finds a ROM of no size.

What we do: `deny_rom_and_self_test` lets neither be stored. Gone when both registers read 0 after ones were written.
"""

from typing import Any

__all__ = [
    "deny_rom_and_self_test",
]


def deny_rom_and_self_test(function: Any) -> None:
    """Let a function keep both bits at zero."""
    write = function.write_config_register

    async def written(register: int, data: int, mask: int) -> None:
        await write(register, data, mask)
        function.expansion_rom_enable = 0
        function.start_bist = False

    function.write_config_register = written
