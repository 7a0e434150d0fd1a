"""A guest with a stock Linux kernel, in QEMU, whose PCI device is our endpoint."""
