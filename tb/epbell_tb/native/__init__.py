"""The tier without a Python model of PCIe: :mod:`epbell_tb.native.metal`."""
