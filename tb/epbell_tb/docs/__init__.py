"""The documentation as a site: timing diagrams out of simulations, the register reference, and Sphinx."""
