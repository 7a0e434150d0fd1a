"""cocotb environment, benches and command line."""
