"""PCIe front ends: TLP fields and the UltraScale+ completer streams."""
