"""Defects of cocotbext-pcie 0.2.16, one file each: what is wrong, what we do, and how to see that it is gone.

Most files are mixins for `HardBlock`, in front of the stock model; when a new version has mended what one is about, the
file and its test in ``tests/unit/test_upstream_defects.py`` go: that fails as soon as the stock package does it right.

Some defects need no mending because what has them is not used, or because a real hard block is no better; their files
say so, and their tests are there so that nobody relies on it unaware.
"""
