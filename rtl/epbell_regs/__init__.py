"""Register maps: one SystemRDL file per block."""
