// A memory with one read and one write port. Read data come a cycle after the address and stay
// until the next read; a read and a write of the same place in one cycle give nothing that may be used
// (in simulation the old value upside down), so that a memory of any kind will do.
// In silicon an SRAM macro or a register file takes its place: synthesis leaves it out as a box.
module sram_1r1w #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 2,
    parameter int ADDRESS_BITS = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input  logic                    clk,
    input  logic                    write,
    input  logic [ADDRESS_BITS-1:0] write_address,
    input  logic [WIDTH-1:0]        write_data,
    input  logic                    read,
    input  logic [ADDRESS_BITS-1:0] read_address,
    output logic [WIDTH-1:0]        read_data
);
  (* no_rw_check *)
  logic [WIDTH-1:0] cells[0:DEPTH-1];

  always_ff @(posedge clk) begin
    if (write) cells[write_address] <= write_data;
`ifdef SYNTHESIS
    if (read) read_data <= cells[read_address];
`else
    if (read)
      read_data <= (write && write_address == read_address) ? ~cells[read_address] : cells[read_address];
`endif
  end
endmodule
