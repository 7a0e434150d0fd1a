"""The host's end of the serial port: frames, the link, the root complex behind it, and the board in simulation.

docs/serial.md says what is on the wire.
"""
