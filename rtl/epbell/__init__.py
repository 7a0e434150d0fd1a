"""epbell: RTL of the doorbell a PCIe endpoint lacks (i.MX Messaging Unit, inbound windows, endpoint)."""
