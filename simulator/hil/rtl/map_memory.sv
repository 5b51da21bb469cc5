// The maps that convolutions read: nine banks, so that a 3 x 3 window lies in nine different ones
// whatever its place, each with a bank a plane. A pixel (y, x) is in bank (y mod 3, x mod 3).
// An entry holds WORD_INPUTS channels of four planes; it is written 32 channels at a time.
module map_memory #(
    parameter int WORD_INPUTS = 128,
    parameter int PART = 32,
    parameter int DEPTH = 1024,
    parameter int PLANE_BANKS = 4,
    parameter int PART_BITS = $clog2(WORD_INPUTS / PART),
    parameter int ADDRESS_BITS = $clog2(DEPTH)
) (
    input  logic                               clk,
    input  logic [8:0]                         write,        // by bank
    input  logic [PLANE_BANKS-1:0]             write_planes,
    input  logic [ADDRESS_BITS-1:0]            write_address,
    input  logic [PART_BITS-1:0]               write_part,
    input  logic [PLANE_BANKS*PART-1:0]        write_data,
    input  logic                               read,
    input  logic [1:0]                         read_plane,
    input  logic [9*ADDRESS_BITS-1:0]          read_address,
    output logic [9*WORD_INPUTS-1:0]           read_data     // the cycle after
);
  localparam int PARTS = WORD_INPUTS / PART;
  logic [1:0] plane;
  always_ff @(posedge clk) if (read) plane <= read_plane;
  for (genvar bank = 0; bank < 9; bank++) begin : banks
    logic [PLANE_BANKS*WORD_INPUTS-1:0] found;
    for (genvar each = 0; each < PLANE_BANKS; each++) begin : planes
      for (genvar part = 0; part < PARTS; part++) begin : parts
        sram_1r1w #(
            .WIDTH(PART),
            .DEPTH(DEPTH)
        ) memory (
            .clk,
            .write(write[bank] && write_planes[each] && write_part == PART_BITS'(part)),
            .write_address,
            .write_data(write_data[each*PART+:PART]),
            .read(read && read_plane == 2'(each)),
            .read_address(read_address[bank*ADDRESS_BITS+:ADDRESS_BITS]),
            .read_data(found[(each*PARTS+part)*PART+:PART])
        );
      end
    end
    assign read_data[bank*WORD_INPUTS+:WORD_INPUTS] = found[32'(plane)*WORD_INPUTS+:WORD_INPUTS];
  end
endmodule
