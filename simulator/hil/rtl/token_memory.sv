// The rows of tokens that linear layers and queries read, and each bank of a map: an entry holds
// WORD_INPUTS channels of four planes, a memory each; it is written PART channels at a time.
module token_memory #(
    parameter int WORD_INPUTS = 128,
    parameter int PART = 32,
    parameter int DEPTH = 1024,
    parameter int PLANE_BANKS = 4,
    parameter int PART_BITS = (WORD_INPUTS > PART) ? $clog2(WORD_INPUTS / PART) : 1,
    parameter int ADDRESS_BITS = $clog2(DEPTH)
) (
    input  logic                        clk,
    input  logic                        write,
    input  logic [ADDRESS_BITS-1:0]     write_address,
    input  logic [PART_BITS-1:0]        write_part,
    input  logic [PLANE_BANKS*PART-1:0] write_data,
    input  logic                        read,
    input  logic [1:0]                  read_plane,
    input  logic [ADDRESS_BITS-1:0]     read_address,
    output logic [WORD_INPUTS-1:0]      read_data      // the cycle after
);
  localparam int PARTS = WORD_INPUTS / PART;
  logic [1:0] plane;
  logic [PLANE_BANKS*WORD_INPUTS-1:0] found;
  always_ff @(posedge clk) if (read) plane <= read_plane;
  for (genvar each = 0; each < PLANE_BANKS; each++) begin : planes
    for (genvar part = 0; part < PARTS; part++) begin : parts
      sram_1r1w #(
          .WIDTH(PART),
          .DEPTH(DEPTH)
      ) memory (
          .clk,
          .write(write && write_part == PART_BITS'(part)),
          .write_address,
          .write_data(write_data[each*PART+:PART]),
          .read(read && read_plane == 2'(each)),
          .read_address,
          .read_data(found[(each*PARTS+part)*PART+:PART])
      );
    end
  end
  assign read_data = found[32'(plane)*WORD_INPUTS+:WORD_INPUTS];
endmodule
