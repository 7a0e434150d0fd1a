"""cocotb benches, one module per device under test."""
