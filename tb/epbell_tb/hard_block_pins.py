"""Names of the hard block's pins; this file imports nothing, for the plain reference bench uses it, too."""

__all__ = ["PINS"]

PINS = (
    *("pcie_cq_np_req", "cfg_max_payload", "cfg_function_status", "cfg_function_power_state"),
    *("cfg_flr_in_process", "cfg_flr_done"),
    *(f"cfg_interrupt_{name}" for name in ("int", "sent", "pending")),
    *(f"cfg_interrupt_msi_{name}" for name in ("enable", "mmenable", "data", "select", "int", "sent", "fail")),
    *(f"cfg_interrupt_msi_{name}" for name in ("attr", "function_number", "pending_status")),
    *(f"cfg_interrupt_msix_{name}" for name in ("enable", "mask", "address", "data", "int", "sent", "fail")),
    *(f"cfg_mgmt_{name}" for name in ("addr", "function_number", "write", "write_data", "byte_enable")),
    *(f"cfg_mgmt_{name}" for name in ("read", "read_data", "read_write_done", "debug_access")),
)
"""Pins of the hard block that are neither clock nor stream, by the names that the stock model has for them, too."""
