"""The endpoint of boards without PCIe: the hard block's streams and pins, and the CPU's bus, over a serial port.

docs/serial.md says what is on the wire.
"""
