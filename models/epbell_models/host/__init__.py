"""The host side of Linux: PCI driver core and pci_endpoint_test."""
