// A transposing memory of bits: a write sets one bit in each of LANES banks, a read gives the word of
// every bank at an address. Vectors come in as they are made, rows go out as they are needed:
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
  // SRAMs with a write enable for each bit.
  logic [LANES*WIDTH-1:0] cells[0:DEPTH-1];
  always_ff @(posedge clk) begin
    if (write)
      for (int lane = 0; lane < LANES; lane++)
        cells[write_address][lane*WIDTH+32'(write_bit)] <= write_data[lane];
    if (read) read_data <= cells[read_address];
  end
endmodule
