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
  logic [TOKENS*BITS-1:0] found;
  for (genvar token = 0; token < TOKENS; token++) begin : banks
    logic chosen;
    logic [BITS-1:0] value;
    always_comb begin
      chosen = 1'b0;
      value  = '0;
      for (int lane = 0; lane < LANES; lane++) begin
        if (write && write_owners[lane*16+:16] == 16'(token)) begin
          chosen = 1'b1;
          value  = value | write_data[lane*BITS+:BITS];
        end
      end
    end
    sram_1r1w #(
        .WIDTH(BITS),
        .DEPTH(DEPTH)
    ) bank (
        .clk,
        .write(chosen),
        .write_address,
        .write_data(value),
        .read,
        .read_address,
        .read_data(found[token*BITS+:BITS])
    );
  end
  always_comb begin
    for (int lane = 0; lane < LANES; lane++)
      read_data[lane*BITS+:BITS] = found[32'(read_owners[lane*16+:OWNER_BITS])*BITS+:BITS];
  end
endmodule
