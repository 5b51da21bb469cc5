// Values of tokens, a bank a token, read and written by lanes that are places in a list of tokens: a
// gather ahead of the lanes, a scatter behind them. Tokens of a list ascend, so that lanes move to their
// banks, and back, a digit of the distance at a time without meeting (the largest digit first).
// A lane that owns no token reads anything and writes nothing.
module list_memory #(
    parameter int LANES = 32,
    parameter int BITS = 16,
    parameter int TOKENS = 64,
    parameter int DEPTH = 256,
    parameter int BEHIND = 3,                      // cycles from a read to the write of its vector
    parameter int TOKEN_BITS = $clog2(TOKENS),
    parameter int ADDRESS_BITS = $clog2(DEPTH)
) (
    input  logic                        clk,
    input  logic                        read,
    input  logic [ADDRESS_BITS-1:0]     read_address,
    input  logic [LANES-1:0]            owned,          // with the read: lanes that own a token
    input  logic [LANES*TOKEN_BITS-1:0] owners,         // and which
    output logic [LANES*BITS-1:0]       read_data,      // the cycle after
    input  logic                        write,
    input  logic [ADDRESS_BITS-1:0]     write_address,
    input  logic [LANES*BITS-1:0]       write_data
);
  localparam int MOVES = TOKEN_BITS * TOKENS;

  // By digit and place: what lies there moves up by the digit's weight. In the end: banks that are met.
  logic [MOVES-1:0] moves;
  logic [TOKENS-1:0] met;
  always_comb begin
    logic [TOKENS*TOKEN_BITS-1:0] distances;
    logic [TOKENS-1:0] moving;
    met = TOKENS'(owned);
    moves = '0;
    distances = '0;
    for (int lane = 0; lane < LANES; lane++)
      distances[lane*TOKEN_BITS+:TOKEN_BITS] = owners[lane*TOKEN_BITS+:TOKEN_BITS] - TOKEN_BITS'(lane);
    for (int digit = TOKEN_BITS - 1; digit >= 0; digit--) begin
      for (int place = 0; place < TOKENS; place++)
        moving[place] = met[place] && distances[place*TOKEN_BITS+digit];
      moves[digit*TOKENS+:TOKENS] = moving;
      met = (met & ~moving) | (moving << (1 << digit));
      for (int place = TOKENS - 1; place >= (1 << digit); place--)
        if (moving[place-(1<<digit)])
          distances[place*TOKEN_BITS+:TOKEN_BITS] = distances[(place-(1<<digit))*TOKEN_BITS+:TOKEN_BITS];
    end
  end
  logic [BEHIND*MOVES-1:0] moves_before;
  logic [BEHIND*TOKENS-1:0] met_before;
  always_ff @(posedge clk) begin
    moves_before <= {moves_before[0+:(BEHIND-1)*MOVES], moves};
    met_before <= {met_before[0+:(BEHIND-1)*TOKENS], met};
  end

  logic [TOKENS*BITS-1:0] found, gathered, scattered;
  always_comb begin
    logic [MOVES-1:0] to_banks;
    to_banks = moves_before[(BEHIND-1)*MOVES+:MOVES];
    scattered = (TOKENS * BITS)'(write_data);
    for (int digit = TOKEN_BITS - 1; digit >= 0; digit--)
      for (int place = TOKENS - 1; place >= (1 << digit); place--)
        if (to_banks[digit*TOKENS+place-(1<<digit)])
          scattered[place*BITS+:BITS] = scattered[(place-(1<<digit))*BITS+:BITS];
    gathered = found;
    for (int digit = 0; digit < TOKEN_BITS; digit++)
      for (int place = 0; place < TOKENS - (1 << digit); place++)
        if (moves_before[digit*TOKENS+place])
          gathered[place*BITS+:BITS] = gathered[(place+(1<<digit))*BITS+:BITS];
  end
  assign read_data = gathered[0+:LANES*BITS];
  for (genvar token = 0; token < TOKENS; token++) begin : banks
    sram_1r1w #(
        .WIDTH(BITS),
        .DEPTH(DEPTH)
    ) bank (
        .clk,
        .write(write && met_before[(BEHIND-1)*TOKENS+token]),
        .write_address,
        .write_data(scattered[token*BITS+:BITS]),
        .read,
        .read_address,
        .read_data(found[token*BITS+:BITS])
    );
  end
`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (read && $countones(met) != $countones(owned)) $fatal(1, "list_memory: lanes met on their way");
`endif
endmodule
