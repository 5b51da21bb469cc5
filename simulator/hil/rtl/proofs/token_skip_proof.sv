// Proves of the token-skip unit: once the list is complete it holds each live token of the mask once,
// in order, and nothing else; and it does become complete.
module token_skip_proof (
    input logic clk,
    input logic list_read
);
  localparam int TOKENS = 6;
  localparam int SCAN = 2;
  localparam int LONGEST = 10;  // cycles from a scan to its list
  (* anyconst *) logic [TOKENS-1:0] mask;
  (* anyconst *) logic [2:0] tokens;
  (* anyconst *) logic [3:0] position;
  logic [3:0] time_now = '0;
  logic reset, scan, mask_read, reading, ready, stalled, stream_valid, asked, was_ready;
  logic [3:0] mask_address;
  logic [SCAN-1:0] read_mask;
  logic [3:0] live, list_token, stream_token;
  assign reset = time_now == '0;
  assign scan = time_now == 4'd1;
  always_ff @(posedge clk) begin
    if (time_now != '1) time_now <= time_now + 1'b1;
    if (mask_read) read_mask <= SCAN'(mask >> (mask_address * SCAN));
    asked <= list_read && ready && !scan;
    was_ready <= ready && !scan && !reset;
  end
  token_skip #(.SCAN(SCAN), .QUEUE(8), .TOKEN_BITS(4), .MASK_BITS(4)) skip (
      .clk, .reset, .scan, .keep(1'b1), .tokens(4'(tokens)), .mask_base('0),
      .mask_read, .mask_address, .mask(read_mask), .reading, .ready, .stalled, .live,
      .list_read(list_read), .list_position(position), .list_token,
      .stream_valid, .stream_token, .stream_take(1'b0)
  );
  // The live tokens up to each one, by counting.
  logic [3:0] total, wanted;
  always_comb begin
    total = '0;
    wanted = '1;
    for (int token = 0; token < TOKENS; token++) begin
      if (mask[token] && 3'(token) < tokens) begin
        if (total == position) wanted = 4'(token);
        total = total + 1'b1;
      end
    end
  end
  always_comb begin
    assume (tokens <= 3'(TOKENS));
    if (!reset && was_ready && ready) begin
      assert (live == total);
      if (asked && position < total) assert (list_token == wanted);
    end
    if (time_now > 4'(LONGEST)) assert (ready);
    assert (!stalled || reset);
  end
endmodule
