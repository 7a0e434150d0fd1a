"""The endpoint side of Linux: interrupt core, MU MSI controller, endpoint framework."""
