// The registers of the engine, an AXI4-Lite slave: one access at a time, 32 bits, addresses in bytes.
// Written: 0 control (bit 0 run an image, bit 1 load the configuration), then the settings from 8 on.
// Read: 4 status (bit 0 idle, 1 an image has been classified, 2 DRAM refused an access), then the counters
// from 128 on.
module registers #(
    parameter int SETTINGS = 14,
    parameter int COUNTERS = 11
) (
    input  logic                    clk,
    input  logic                    reset,
    input  logic                    awvalid,
    output logic                    awready,
    input  logic [7:0]              awaddr,
    input  logic                    wvalid,
    output logic                    wready,
    input  logic [31:0]             wdata,
    output logic                    bvalid,
    input  logic                    bready,
    input  logic                    arvalid,
    output logic                    arready,
    input  logic [7:0]              araddr,
    output logic                    rvalid,
    input  logic                    rready,
    output logic [31:0]             rdata,
    output logic                    run,          // for one cycle
    output logic                    configure,    // for one cycle
    output logic [SETTINGS*32-1:0]  settings,
    input  logic                    idle,
    input  logic                    finished,
    input  logic                    refused,
    input  logic [COUNTERS*32-1:0]  counters
);
  logic classified, writes;
  logic [5:0] write_place, read_place;
  logic [64*32-1:0] readable;
  assign writes = awvalid && wvalid && !bvalid;
  assign awready = writes;
  assign wready = writes;
  assign arready = arvalid && !rvalid;
  assign write_place = awaddr[7:2];
  assign read_place = araddr[7:2];
  assign readable = (64 * 32)'({
    counters, (30 * 32)'(settings), 29'd0, refused, classified, idle && !run && !configure, 32'd0
  });
  always_ff @(posedge clk) begin
    run <= 1'b0;
    configure <= 1'b0;
    if (reset) begin
      bvalid <= 1'b0;
      rvalid <= 1'b0;
      classified <= 1'b0;
    end else begin
      if (writes) bvalid <= 1'b1;
      else if (bready) bvalid <= 1'b0;
      if (arready) rvalid <= 1'b1;
      else if (rready) rvalid <= 1'b0;
      if (writes && write_place == '0) begin
        run <= wdata[0] && idle;
        configure <= wdata[1] && idle;
        if (wdata[0] && idle) classified <= 1'b0;
      end
      if (finished) classified <= 1'b1;
    end
    for (int each = 0; each < SETTINGS; each++)
      if (writes && write_place == 6'(each + 2)) settings[each*32+:32] <= wdata;
    if (arready) rdata <= readable[32'(read_place)*32+:32];
  end
  logic unused;
  assign unused = ^{awaddr[1:0], araddr[1:0]};
endmodule
