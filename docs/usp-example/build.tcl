# Builds the example with Vivado: vivado -mode batch -source build.tcl -tclargs PART
#
# NOT BUILT HERE: this project has no Vivado. Names of properties are those of AMD PG213 and of the IP `pcie4_uscale_plus`
# of Vivado 2023.2; `report_property [get_ips pcie4_uscale_plus_0]` lists those of yours.
set part [expr {$argc > 0 ? [lindex $argv 0] : "xcvu9p-flga2104-2L-e"}]
set here [file dirname [file normalize [info script]]]
set verilog [file normalize "$here/../../build/verilog/epbell_endpoint_usp256.sv"]
if {![file exists $verilog]} { error "$verilog is missing: run `make verilog` first" }

create_project -force epbell_example "$here/vivado" -part $part
add_files [list $verilog "$here/epbell_example.sv"]
add_files -fileset constrs_1 "$here/epbell_example.xdc"
set_property top epbell_example [current_fileset]

create_ip -vendor xilinx.com -library ip -name pcie4_uscale_plus -module_name pcie4_uscale_plus_0
set_property -dict {
  CONFIG.PL_LINK_CAP_MAX_LINK_WIDTH X8
  CONFIG.PL_LINK_CAP_MAX_LINK_SPEED 8.0_GT/s
  CONFIG.axisten_if_width 256_bit
  CONFIG.AXISTEN_IF_RC_STRADDLE false
  CONFIG.axisten_if_enable_client_tag true
  CONFIG.axisten_freq 250
  CONFIG.cfg_mgmt_if true
  CONFIG.PF0_Use_Class_Code_Lookup_Assistant false
  CONFIG.PF0_CLASS_CODE FF0000
  CONFIG.vendor_id 1957
  CONFIG.PF0_DEVICE_ID 0808
  CONFIG.PF0_INTERRUPT_PIN INTA
  CONFIG.PF0_MSI_CAP_MULTIMSGCAP 32_vectors
  CONFIG.PF0_MSI_CAP_PERVECMASKCAP true
  CONFIG.MSI_EN true
  CONFIG.MSIX_EN true
  CONFIG.MSI_X_OPTIONS MSI-X_External
  CONFIG.PF0_MSIX_CAP_TABLE_SIZE 03F
  CONFIG.PF0_MSIX_CAP_TABLE_BIR BAR_0
  CONFIG.PF0_MSIX_CAP_TABLE_OFFSET 00000080
  CONFIG.PF0_MSIX_CAP_PBA_BIR BAR_0
  CONFIG.PF0_MSIX_CAP_PBA_OFFSET 00000480
  CONFIG.PF0_PM_CAP_SUPP_D1_STATE false
  CONFIG.pf0_flr_en true
} [get_ips pcie4_uscale_plus_0]
# The BARs of the exported endpoint: five of 16 KiB and one of 64 KiB, 32 bits each.
foreach {bar size} {0 16 1 16 2 16 3 16 4 16 5 64} {
  set_property -dict [list \
    CONFIG.pf0_bar${bar}_enabled true CONFIG.pf0_bar${bar}_type Memory CONFIG.pf0_bar${bar}_64bit false \
    CONFIG.pf0_bar${bar}_prefetchable false CONFIG.pf0_bar${bar}_scale Kilobytes CONFIG.pf0_bar${bar}_size $size \
  ] [get_ips pcie4_uscale_plus_0]
}

create_ip -vendor xilinx.com -library ip -name jtag_axi -module_name jtag_axi_0
set_property CONFIG.PROTOCOL 2 [get_ips jtag_axi_0] ;# AXI4-Lite
generate_target all [get_ips]

launch_runs impl_1 -to_step write_bitstream -jobs 4
wait_on_run impl_1
if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} { error "the implementation has failed" }
open_run impl_1
report_timing_summary -file "$here/vivado/timing.txt"
report_utilization -file "$here/vivado/utilization.txt"
