// An endpoint beside the integrated block for PCI Express of an UltraScale+ FPGA (AMD PG213), 256 bits at 250 MHz.
// SPDX-License-Identifier: BSD-2-Clause
//
// NOT BUILT HERE: it needs Vivado and a board with PCIe, and this project has neither. What is checked is that every port
// of epbell_endpoint_usp256 is connected, and by nothing that does not exist.
//
// The CPU is a JTAG-to-AXI manager: its accesses come from Vivado's Tcl console. Put yours in its place.
`default_nettype none

module epbell_example (
  input wire pcie_refclk_p, pcie_refclk_n, pcie_perst_n,
  input wire [7:0] pcie_rx_p, pcie_rx_n,
  output wire [7:0] pcie_tx_p, pcie_tx_n,
  output wire [2:0] led
);
  wire refclk, refclk_gt, perst_n;
  wire user_clk, user_reset, user_lnk_up;
  wire [255:0] cq_tdata;
  wire [7:0] cq_tkeep;
  wire [87:0] cq_tuser;
  wire cq_tlast, cq_tvalid;
  wire cq_tready;
  wire [255:0] rc_tdata;
  wire [7:0] rc_tkeep;
  wire [74:0] rc_tuser;
  wire rc_tlast, rc_tvalid;
  wire rc_tready;
  wire [255:0] cc_tdata;
  wire [7:0] cc_tkeep;
  wire [32:0] cc_tuser;
  wire cc_tlast, cc_tvalid;
  wire [3:0] cc_tready;  // four copies of one signal
  wire [255:0] rq_tdata;
  wire [7:0] rq_tkeep;
  wire [61:0] rq_tuser;
  wire rq_tlast, rq_tvalid;
  wire [3:0] rq_tready;  // four copies of one signal
  wire [1:0] pcie_cq_np_req;
  wire [1:0] cfg_max_payload;
  wire [15:0] cfg_function_status;
  wire [11:0] cfg_function_power_state;
  wire [3:0] cfg_flr_in_process;
  wire [3:0] cfg_flr_done;
  wire [3:0] cfg_interrupt_int;
  wire [3:0] cfg_interrupt_pending;
  wire cfg_interrupt_sent;
  wire [3:0] cfg_interrupt_msi_enable;
  wire [11:0] cfg_interrupt_msi_mmenable;
  wire cfg_interrupt_msi_mask_update;
  wire [31:0] cfg_interrupt_msi_data;
  wire cfg_interrupt_msi_sent;
  wire cfg_interrupt_msi_fail;
  wire [31:0] cfg_interrupt_msi_int;
  wire [1:0] cfg_interrupt_msi_select;
  wire [31:0] cfg_interrupt_msi_pending_status;
  wire cfg_interrupt_msi_pending_status_data_enable;
  wire [1:0] cfg_interrupt_msi_pending_status_function_num;
  wire [2:0] cfg_interrupt_msi_attr;
  wire cfg_interrupt_msi_tph_present;
  wire [1:0] cfg_interrupt_msi_tph_type;
  wire [7:0] cfg_interrupt_msi_tph_st_tag;
  wire [7:0] cfg_interrupt_msi_function_number;
  wire [3:0] cfg_interrupt_msix_enable;
  wire [3:0] cfg_interrupt_msix_mask;
  wire [63:0] cfg_interrupt_msix_address;
  wire [31:0] cfg_interrupt_msix_data;
  wire cfg_interrupt_msix_int;
  wire [1:0] cfg_interrupt_msix_vec_pending;
  wire [9:0] cfg_mgmt_addr;
  wire [7:0] cfg_mgmt_function_number;
  wire cfg_mgmt_write;
  wire [31:0] cfg_mgmt_write_data;
  wire [3:0] cfg_mgmt_byte_enable;
  wire cfg_mgmt_read;
  wire [31:0] cfg_mgmt_read_data;
  wire cfg_mgmt_read_write_done;
  wire cfg_mgmt_debug_access;
  wire [31:0] cpu_awaddr;
  wire [2:0] cpu_awprot;
  wire cpu_awvalid;
  wire cpu_awready;
  wire [31:0] cpu_wdata;
  wire [3:0] cpu_wstrb;
  wire cpu_wvalid;
  wire cpu_wready;
  wire [1:0] cpu_bresp;
  wire cpu_bvalid;
  wire cpu_bready;
  wire [31:0] cpu_araddr;
  wire [2:0] cpu_arprot;
  wire cpu_arvalid;
  wire cpu_arready;
  wire [31:0] cpu_rdata;
  wire [1:0] cpu_rresp;
  wire cpu_rvalid;
  wire cpu_rready;
  wire irq_mu, irq_edma;

  IBUFDS_GTE4 refclk_buffer (.I(pcie_refclk_p), .IB(pcie_refclk_n), .CEB(1'b0), .O(refclk_gt), .ODIV2(refclk));
  IBUF perst_buffer (.I(pcie_perst_n), .O(perst_n));

  pcie4_uscale_plus_0 hard_block (
    .sys_clk(refclk),
    .sys_clk_gt(refclk_gt),
    .sys_reset(perst_n),
    .pci_exp_rxp(pcie_rx_p),
    .pci_exp_rxn(pcie_rx_n),
    .pci_exp_txp(pcie_tx_p),
    .pci_exp_txn(pcie_tx_n),
    .user_clk(user_clk),
    .user_reset(user_reset),
    .user_lnk_up(user_lnk_up),
    .m_axis_cq_tdata(cq_tdata),
    .m_axis_cq_tkeep(cq_tkeep),
    .m_axis_cq_tuser(cq_tuser),
    .m_axis_cq_tlast(cq_tlast),
    .m_axis_cq_tvalid(cq_tvalid),
    .m_axis_cq_tready(cq_tready),
    .m_axis_rc_tdata(rc_tdata),
    .m_axis_rc_tkeep(rc_tkeep),
    .m_axis_rc_tuser(rc_tuser),
    .m_axis_rc_tlast(rc_tlast),
    .m_axis_rc_tvalid(rc_tvalid),
    .m_axis_rc_tready(rc_tready),
    .s_axis_cc_tdata(cc_tdata),
    .s_axis_cc_tkeep(cc_tkeep),
    .s_axis_cc_tuser(cc_tuser),
    .s_axis_cc_tlast(cc_tlast),
    .s_axis_cc_tvalid(cc_tvalid),
    .s_axis_cc_tready(cc_tready),
    .s_axis_rq_tdata(rq_tdata),
    .s_axis_rq_tkeep(rq_tkeep),
    .s_axis_rq_tuser(rq_tuser),
    .s_axis_rq_tlast(rq_tlast),
    .s_axis_rq_tvalid(rq_tvalid),
    .s_axis_rq_tready(rq_tready),
    .pcie_cq_np_req(pcie_cq_np_req),
    .cfg_max_payload(cfg_max_payload),
    .cfg_function_status(cfg_function_status),
    .cfg_function_power_state(cfg_function_power_state),
    .cfg_flr_in_process(cfg_flr_in_process),
    .cfg_flr_done(cfg_flr_done),
    .cfg_interrupt_int(cfg_interrupt_int),
    .cfg_interrupt_pending(cfg_interrupt_pending),
    .cfg_interrupt_sent(cfg_interrupt_sent),
    .cfg_interrupt_msi_enable(cfg_interrupt_msi_enable),
    .cfg_interrupt_msi_mmenable(cfg_interrupt_msi_mmenable),
    .cfg_interrupt_msi_mask_update(cfg_interrupt_msi_mask_update),
    .cfg_interrupt_msi_data(cfg_interrupt_msi_data),
    .cfg_interrupt_msi_sent(cfg_interrupt_msi_sent),
    .cfg_interrupt_msi_fail(cfg_interrupt_msi_fail),
    .cfg_interrupt_msi_int(cfg_interrupt_msi_int),
    .cfg_interrupt_msi_select(cfg_interrupt_msi_select),
    .cfg_interrupt_msi_pending_status(cfg_interrupt_msi_pending_status),
    .cfg_interrupt_msi_pending_status_data_enable(cfg_interrupt_msi_pending_status_data_enable),
    .cfg_interrupt_msi_pending_status_function_num(cfg_interrupt_msi_pending_status_function_num),
    .cfg_interrupt_msi_attr(cfg_interrupt_msi_attr),
    .cfg_interrupt_msi_tph_present(cfg_interrupt_msi_tph_present),
    .cfg_interrupt_msi_tph_type(cfg_interrupt_msi_tph_type),
    .cfg_interrupt_msi_tph_st_tag(cfg_interrupt_msi_tph_st_tag),
    .cfg_interrupt_msi_function_number(cfg_interrupt_msi_function_number),
    .cfg_interrupt_msix_enable(cfg_interrupt_msix_enable),
    .cfg_interrupt_msix_mask(cfg_interrupt_msix_mask),
    .cfg_interrupt_msix_address(cfg_interrupt_msix_address),
    .cfg_interrupt_msix_data(cfg_interrupt_msix_data),
    .cfg_interrupt_msix_int(cfg_interrupt_msix_int),
    .cfg_interrupt_msix_vec_pending(cfg_interrupt_msix_vec_pending),
    .cfg_mgmt_addr(cfg_mgmt_addr),
    .cfg_mgmt_function_number(cfg_mgmt_function_number),
    .cfg_mgmt_write(cfg_mgmt_write),
    .cfg_mgmt_write_data(cfg_mgmt_write_data),
    .cfg_mgmt_byte_enable(cfg_mgmt_byte_enable),
    .cfg_mgmt_read(cfg_mgmt_read),
    .cfg_mgmt_read_data(cfg_mgmt_read_data),
    .cfg_mgmt_read_write_done(cfg_mgmt_read_write_done),
    .cfg_mgmt_debug_access(cfg_mgmt_debug_access),
    // What the endpoint has no use for.
    .cfg_interrupt_msix_vec_pending_status(),
    .cfg_config_space_enable(1'b1),
    .cfg_dsn(64'd0),
    .cfg_power_state_change_ack(1'b1),
    .cfg_err_cor_in(1'b0),
    .cfg_err_uncor_in(1'b0),
    .cfg_vf_flr_func_num(8'd0),
    .cfg_vf_flr_done(1'b0),
    .cfg_link_training_enable(1'b1),
    .cfg_hot_reset_in(1'b0),
    .cfg_pm_aspm_l1_entry_reject(1'b1),
    .cfg_pm_aspm_tx_l0s_entry_disable(1'b1),
    .cfg_msg_transmit(1'b0),
    .cfg_msg_transmit_type(3'd0),
    .cfg_msg_transmit_data(32'd0),
    .cfg_fc_sel(3'd0)
  );

  epbell_endpoint_usp256 endpoint (
    .s_axis_cq_tdata(cq_tdata),
    .s_axis_cq_tkeep(cq_tkeep),
    .s_axis_cq_tuser(cq_tuser),
    .s_axis_cq_tlast(cq_tlast),
    .s_axis_cq_tvalid(cq_tvalid),
    .s_axis_cq_tready(cq_tready),
    .s_axis_rc_tdata(rc_tdata),
    .s_axis_rc_tkeep(rc_tkeep),
    .s_axis_rc_tuser(rc_tuser),
    .s_axis_rc_tlast(rc_tlast),
    .s_axis_rc_tvalid(rc_tvalid),
    .s_axis_rc_tready(rc_tready),
    .m_axis_cc_tdata(cc_tdata),
    .m_axis_cc_tkeep(cc_tkeep),
    .m_axis_cc_tuser(cc_tuser),
    .m_axis_cc_tlast(cc_tlast),
    .m_axis_cc_tvalid(cc_tvalid),
    .m_axis_cc_tready(cc_tready[0]),
    .m_axis_rq_tdata(rq_tdata),
    .m_axis_rq_tkeep(rq_tkeep),
    .m_axis_rq_tuser(rq_tuser),
    .m_axis_rq_tlast(rq_tlast),
    .m_axis_rq_tvalid(rq_tvalid),
    .m_axis_rq_tready(rq_tready[0]),
    .pcie_cq_np_req(pcie_cq_np_req),
    .cfg_max_payload(cfg_max_payload),
    .cfg_function_status(cfg_function_status),
    .cfg_function_power_state(cfg_function_power_state),
    .cfg_flr_in_process(cfg_flr_in_process),
    .cfg_flr_done(cfg_flr_done),
    .cfg_interrupt_int(cfg_interrupt_int),
    .cfg_interrupt_pending(cfg_interrupt_pending),
    .cfg_interrupt_sent(cfg_interrupt_sent),
    .cfg_interrupt_msi_enable(cfg_interrupt_msi_enable),
    .cfg_interrupt_msi_mmenable(cfg_interrupt_msi_mmenable),
    .cfg_interrupt_msi_mask_update(cfg_interrupt_msi_mask_update),
    .cfg_interrupt_msi_data(cfg_interrupt_msi_data),
    .cfg_interrupt_msi_sent(cfg_interrupt_msi_sent),
    .cfg_interrupt_msi_fail(cfg_interrupt_msi_fail),
    .cfg_interrupt_msi_int(cfg_interrupt_msi_int),
    .cfg_interrupt_msi_select(cfg_interrupt_msi_select),
    .cfg_interrupt_msi_pending_status(cfg_interrupt_msi_pending_status),
    .cfg_interrupt_msi_pending_status_data_enable(cfg_interrupt_msi_pending_status_data_enable),
    .cfg_interrupt_msi_pending_status_function_num(cfg_interrupt_msi_pending_status_function_num),
    .cfg_interrupt_msi_attr(cfg_interrupt_msi_attr),
    .cfg_interrupt_msi_tph_present(cfg_interrupt_msi_tph_present),
    .cfg_interrupt_msi_tph_type(cfg_interrupt_msi_tph_type),
    .cfg_interrupt_msi_tph_st_tag(cfg_interrupt_msi_tph_st_tag),
    .cfg_interrupt_msi_function_number(cfg_interrupt_msi_function_number),
    .cfg_interrupt_msix_enable(cfg_interrupt_msix_enable),
    .cfg_interrupt_msix_mask(cfg_interrupt_msix_mask),
    .cfg_interrupt_msix_address(cfg_interrupt_msix_address),
    .cfg_interrupt_msix_data(cfg_interrupt_msix_data),
    .cfg_interrupt_msix_int(cfg_interrupt_msix_int),
    .cfg_interrupt_msix_vec_pending(cfg_interrupt_msix_vec_pending),
    .cfg_mgmt_addr(cfg_mgmt_addr),
    .cfg_mgmt_function_number(cfg_mgmt_function_number),
    .cfg_mgmt_write(cfg_mgmt_write),
    .cfg_mgmt_write_data(cfg_mgmt_write_data),
    .cfg_mgmt_byte_enable(cfg_mgmt_byte_enable),
    .cfg_mgmt_read(cfg_mgmt_read),
    .cfg_mgmt_read_data(cfg_mgmt_read_data),
    .cfg_mgmt_read_write_done(cfg_mgmt_read_write_done),
    .cfg_mgmt_debug_access(cfg_mgmt_debug_access),
    // This block has one pair of answers for MSI and MSI-X.
    .cfg_interrupt_msix_sent(cfg_interrupt_msi_sent),
    .cfg_interrupt_msix_fail(cfg_interrupt_msi_fail),
    .cpu_axil_awaddr(cpu_awaddr),
    .cpu_axil_awprot(cpu_awprot),
    .cpu_axil_awvalid(cpu_awvalid),
    .cpu_axil_awready(cpu_awready),
    .cpu_axil_wdata(cpu_wdata),
    .cpu_axil_wstrb(cpu_wstrb),
    .cpu_axil_wvalid(cpu_wvalid),
    .cpu_axil_wready(cpu_wready),
    .cpu_axil_bresp(cpu_bresp),
    .cpu_axil_bvalid(cpu_bvalid),
    .cpu_axil_bready(cpu_bready),
    .cpu_axil_araddr(cpu_araddr),
    .cpu_axil_arprot(cpu_arprot),
    .cpu_axil_arvalid(cpu_arvalid),
    .cpu_axil_arready(cpu_arready),
    .cpu_axil_rdata(cpu_rdata),
    .cpu_axil_rresp(cpu_rresp),
    .cpu_axil_rvalid(cpu_rvalid),
    .cpu_axil_rready(cpu_rready),
    // No DMA engine.
    .edma_wr_done(4'd0),
    .edma_wr_abort(4'd0),
    .edma_rd_done(4'd0),
    .edma_rd_abort(4'd0),
    .irq_mu(irq_mu),
    .irq_edma(irq_edma),
    .clk(user_clk),
    .rst(user_reset)
  );

  jtag_axi_0 cpu (
    .m_axi_awaddr(cpu_awaddr),
    .m_axi_awprot(cpu_awprot),
    .m_axi_awvalid(cpu_awvalid),
    .m_axi_awready(cpu_awready),
    .m_axi_wdata(cpu_wdata),
    .m_axi_wstrb(cpu_wstrb),
    .m_axi_wvalid(cpu_wvalid),
    .m_axi_wready(cpu_wready),
    .m_axi_bresp(cpu_bresp),
    .m_axi_bvalid(cpu_bvalid),
    .m_axi_bready(cpu_bready),
    .m_axi_araddr(cpu_araddr),
    .m_axi_arprot(cpu_arprot),
    .m_axi_arvalid(cpu_arvalid),
    .m_axi_arready(cpu_arready),
    .m_axi_rdata(cpu_rdata),
    .m_axi_rresp(cpu_rresp),
    .m_axi_rvalid(cpu_rvalid),
    .m_axi_rready(cpu_rready),
    .aclk(user_clk),
    .aresetn(~user_reset)
  );

  assign led = {irq_edma, irq_mu, user_lnk_up};
endmodule

`default_nettype wire
