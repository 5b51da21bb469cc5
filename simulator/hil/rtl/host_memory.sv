// An on-chip memory with addresses of 24 bits, of which it uses what its depth needs.
module host_memory #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 2
) (
    input  logic             clk,
    input  logic             write,
    input  logic [23:0]      write_address,
    input  logic [WIDTH-1:0] write_data,
    input  logic             read,
    input  logic [23:0]      read_address,
    output logic [WIDTH-1:0] read_data
);
  localparam int ADDRESS_BITS = (DEPTH > 1) ? $clog2(DEPTH) : 1;
  sram_1r1w #(
      .WIDTH(WIDTH),
      .DEPTH(DEPTH)
  ) memory (
      .clk,
      .write,
      .write_address(write_address[ADDRESS_BITS-1:0]),
      .write_data,
      .read,
      .read_address(read_address[ADDRESS_BITS-1:0]),
      .read_data
  );
  logic unused;
  assign unused = ^{write_address, read_address};
endmodule
