// The maps that convolutions read: nine banks (token_memory), so that a 3 x 3 window lies in nine
// different ones whatever its place. A pixel (y, x) is in bank (y mod 3, x mod 3).
module map_memory #(
    parameter int WORD_INPUTS = 128,
    parameter int PART = 32,
    parameter int DEPTH = 1024,
    parameter int PLANE_BANKS = 4,
    parameter int PART_BITS = (WORD_INPUTS > PART) ? $clog2(WORD_INPUTS / PART) : 1,
    parameter int ADDRESS_BITS = $clog2(DEPTH)
) (
    input  logic                               clk,
    input  logic [8:0]                         write,        // by bank
    input  logic [ADDRESS_BITS-1:0]            write_address,
    input  logic [PART_BITS-1:0]               write_part,
    input  logic [PLANE_BANKS*PART-1:0]        write_data,
    input  logic                               read,
    input  logic [1:0]                         read_plane,
    input  logic [9*ADDRESS_BITS-1:0]          read_address,
    output logic [9*WORD_INPUTS-1:0]           read_data     // the cycle after
);
  for (genvar bank = 0; bank < 9; bank++) begin : banks
    token_memory #(
        .WORD_INPUTS(WORD_INPUTS),
        .PART(PART),
        .DEPTH(DEPTH),
        .PLANE_BANKS(PLANE_BANKS)
    ) memory (
        .clk,
        .write(write[bank]),
        .write_address,
        .write_part,
        .write_data,
        .read,
        .read_plane,
        .read_address(read_address[bank*ADDRESS_BITS+:ADDRESS_BITS]),
        .read_data(read_data[bank*WORD_INPUTS+:WORD_INPUTS])
    );
  end
endmodule
