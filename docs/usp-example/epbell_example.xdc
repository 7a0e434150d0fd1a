# Constraints of the example; NOT BUILT HERE. Pins are those of no board: put in yours.
create_clock -name pcie_refclk -period 10.000 [get_ports pcie_refclk_p]

# set_property PACKAGE_PIN AC9 [get_ports pcie_refclk_p]
# set_property PACKAGE_PIN AC8 [get_ports pcie_refclk_n]
# set_property PACKAGE_PIN AR26 [get_ports pcie_perst_n]
set_property -dict {IOSTANDARD LVCMOS18 PULLUP true} [get_ports pcie_perst_n]
set_property IOSTANDARD LVCMOS12 [get_ports led[*]]

# Neither is looked at by a clock.
set_false_path -from [get_ports pcie_perst_n]
set_false_path -to [get_ports led[*]]
