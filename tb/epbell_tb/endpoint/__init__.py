"""The bench of the whole endpoint: both ends that drive it, what watches it, what must hold."""
