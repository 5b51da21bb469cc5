// Values of tokens, a bank a token, read and written by lanes that are places in a list of tokens: a
// gather ahead of the lanes, a scatter behind them. A lane whose owner is no token reads anything and
// writes nothing.
module list_memory #(
    parameter int LANES = 32,
    parameter int BITS = 16,
    parameter int TOKENS = 64,
    parameter int DEPTH = 256,
    parameter int ADDRESS_BITS = $clog2(DEPTH)
) (
    input  logic                    clk,
    input  logic                    write,
    input  logic [ADDRESS_BITS-1:0] write_address,
    input  logic [LANES*16-1:0]     write_owners,
    input  logic [LANES*BITS-1:0]   write_data,
    input  logic                    read,
    input  logic [ADDRESS_BITS-1:0] read_address,
    input  logic [LANES*16-1:0]     read_owners,   // the cycle after
    output logic [LANES*BITS-1:0]   read_data      // the cycle after
);
  localparam int OWNER_BITS = $clog2(TOKENS);
  logic [TOKENS*BITS-1:0] cells[0:DEPTH-1];
  logic [TOKENS*BITS-1:0] found;
  always_ff @(posedge clk) begin
    if (write) begin
      for (int lane = 0; lane < LANES; lane++)
        if (write_owners[lane*16+:16] < 16'(TOKENS))
          cells[write_address][32'(write_owners[lane*16+:OWNER_BITS])*BITS+:BITS] <=
              write_data[lane*BITS+:BITS];
    end
    if (read) found <= cells[read_address];
  end
  always_comb begin
    for (int lane = 0; lane < LANES; lane++)
      read_data[lane*BITS+:BITS] = found[32'(read_owners[lane*16+:OWNER_BITS])*BITS+:BITS];
  end
endmodule
