// The write side of the DRAM port: the logits, one beat, as an AXI4 master.
module result_writer #(
    parameter int BEAT_BITS = 1024,
    parameter int ADDRESS_BITS = 32
) (
    input  logic                    clk,
    input  logic                    start,      // held until stored
    output logic                    stored,
    input  logic [ADDRESS_BITS-1:0] address,
    input  logic [BEAT_BITS-1:0]    data,
    output logic                    awvalid,
    input  logic                    awready,
    output logic [ADDRESS_BITS-1:0] awaddr,
    output logic                    wvalid,
    input  logic                    wready,
    output logic [BEAT_BITS-1:0]    wdata,
    output logic                    wlast,
    input  logic                    bvalid,
    output logic                    bready
);
  logic addressed, written;
  assign awvalid = start && !addressed;
  assign awaddr = address;
  assign wvalid = start && !written;
  assign wdata = data;
  assign wlast = 1'b1;
  assign bready = start;
  assign stored = start && bvalid;
  always_ff @(posedge clk) begin
    addressed <= start && !stored && (addressed || awready);
    written <= start && !stored && (written || wready);
  end
endmodule
