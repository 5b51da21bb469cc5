// A transposing memory of bits: a write sets one bit of each of LANES words, a read gives all words at
// an address; a bank holds one bit of all words. Vectors come in as they are made, rows go out as they are needed:
// keys and values by channel, the attention's spikes by token.
module bit_columns #(
    parameter int LANES = 32,
    parameter int WIDTH = 128,
    parameter int DEPTH = 16,
    parameter int BIT_BITS = $clog2(WIDTH),
    parameter int ADDRESS_BITS = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input  logic                     clk,
    input  logic                     write,
    input  logic [ADDRESS_BITS-1:0]  write_address,
    input  logic [BIT_BITS-1:0]      write_bit,
    input  logic [LANES-1:0]         write_data,
    input  logic                     read,
    input  logic [ADDRESS_BITS-1:0]  read_address,
    output logic [LANES*WIDTH-1:0]   read_data      // the cycle after
);
  for (genvar place = 0; place < WIDTH; place++) begin : banks
    logic [LANES-1:0] bits;
    sram_1r1w #(
        .WIDTH(LANES),
        .DEPTH(DEPTH)
    ) bank (
        .clk,
        .write(write && write_bit == BIT_BITS'(place)),
        .write_address,
        .write_data,
        .read,
        .read_address,
        .read_data(bits)
    );
    for (genvar lane = 0; lane < LANES; lane++) begin : words
      assign read_data[lane*WIDTH+place] = bits[lane];
    end
  end
endmodule
