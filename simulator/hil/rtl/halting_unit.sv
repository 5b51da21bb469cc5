// A-SSA behind a block: for each live token the score of its channel 0 (a table: the stream holds small
// whole numbers), the accumulated score, the decision, and the weighted sum of the stream over tokens,
// which the head reads. A token whose accumulated score reaches `limit` halts and gives its remainder.
// One vector of the stream a cycle; the mask is there four cycles after the last one was asked for.
//
// Scores have 16 bits behind the point. With `final_decision` the score is 1, so that every token halts.
module halting_unit #(
    parameter int COLUMNS = 32,
    parameter int STREAM_BITS = 4,
    parameter int TOKENS = 64,
    parameter int TILES = 4,
    parameter int SCAN = 16,
    parameter int FIELD_BITS = 32
) (
    input  logic                            clk,
    input  logic                            begin_image,  // all tokens live, nothing accumulated
    input  logic [15:0]                     tokens,
    // table and limit
    input  logic                            decides,      // else the field is a plain mean
    input  logic [16*17-1:0]                scores,
    input  logic [16:0]                     limit,
    input  logic [16:0]                     mean_weight,
    // a decision
    input  logic                            start,        // held until done
    input  logic                            adds,         // of a plain mean: only behind the last block
    input  logic                            final_decision,
    input  network_pkg::instruction_t       instr,
    input  logic [15:0]                     live,
    input  logic [TOKENS*16-1:0]            token_of,
    output logic                            done,
    output logic                            any_live,     // with `done`
    output logic                            busy,
    // stream: data a cycle later
    output logic                            read_stream,
    output logic [15:0]                     stream_address,
    input  logic [COLUMNS*STREAM_BITS-1:0]  stream,
    // mask
    input  logic                            mask_read,
    input  logic [15:0]                     mask_address,
    output logic [SCAN-1:0]                 mask,
    output logic [TOKENS-1:0]               active,
    // field, by tile
    input  logic [7:0]                      field_tile,
    output logic [COLUMNS*FIELD_BITS-1:0]   field
);
  localparam int TOKEN_BITS = $clog2(TOKENS);
  localparam int TILE_BITS = (TILES > 1) ? $clog2(TILES) : 1;

  logic [TOKENS*17-1:0] accumulated, remainder;

  // Cycle 0: a vector is asked for.
  logic running, reading, last_read;
  logic [15:0] place, token;
  logic [7:0] tile;
  assign reading = start && running && place < live && (decides || adds);
  assign token = token_of[32'(place[TOKEN_BITS-1:0])*16+:16];
  assign read_stream = reading;
  assign stream_address = instr.stream_in + 16'(tile * instr.tokens) + token;
  assign last_read = reading && tile + 8'd1 == instr.tiles && place + 16'd1 == live;

  // Cycle 1: score and decision. Cycle 2: products. Cycle 3: sums.
  logic valid1, valid2, valid3, first1, last1, last2, last3, empty;
  logic [7:0] tile1, tile2, tile3;
  logic [TOKEN_BITS-1:0] token1;
  logic [STREAM_BITS-1:0] value;
  logic [16:0] score, earlier, gained, weight2, left;
  logic reached;
  logic [17:0] total;
  logic [COLUMNS*STREAM_BITS-1:0] vector2;
  logic [COLUMNS*24-1:0] products3;
  logic [TILES*COLUMNS*FIELD_BITS-1:0] fields;
  assign value = stream[0+:STREAM_BITS];
  assign score = final_decision ? 17'h10000 : scores[32'(value)*17+:17];
  assign earlier = accumulated[32'(token1)*17+:17];
  assign left = remainder[32'(token1)*17+:17];
  assign total = 18'(earlier) + 18'(score);
  assign reached = total >= 18'(limit);
  assign gained = !decides ? mean_weight : reached ? left : score;
  assign empty = start && running && !(decides || adds);
  assign done = start && (last3 || empty);
  assign any_live = !decides || active != '0;
  assign busy = start && running;

  always_ff @(posedge clk) begin
    if (begin_image || !start || done) begin
      running <= start && !done && !begin_image;
      place <= '0;
      tile <= '0;
    end else begin
      running <= 1'b1;
      if (reading) begin
        tile <= (tile + 8'd1 == instr.tiles) ? '0 : tile + 1'b1;
        if (tile + 8'd1 == instr.tiles) place <= place + 1'b1;
      end
    end
    valid1 <= reading;
    first1 <= tile == '0;
    last1 <= last_read;
    tile1 <= tile;
    token1 <= token[TOKEN_BITS-1:0];
    valid2 <= valid1 && !begin_image;
    last2 <= last1 && valid1;
    tile2 <= tile1;
    vector2 <= stream;
    // Of a token's first vector, for all of its vectors.
    if (valid1 && first1) weight2 <= gained;
    valid3 <= valid2 && !begin_image;
    last3 <= last2 && valid2;
    tile3 <= tile2;
    for (int lane = 0; lane < COLUMNS; lane++)
      products3[lane*24+:24] <= 24'(weight2) * 24'(vector2[lane*STREAM_BITS+:STREAM_BITS]);
    if (begin_image) begin
      fields <= '0;
      accumulated <= '0;
      for (int each = 0; each < TOKENS; each++) begin
        active[each] <= 16'(each) < tokens;
        remainder[each*17+:17] <= 17'h10000;
      end
    end else begin
      for (int each = 0; each < TOKENS; each++) begin
        if (valid1 && first1 && decides && token1 == TOKEN_BITS'(each)) begin
          accumulated[each*17+:17] <= 17'(total);
          if (reached) active[each] <= 1'b0;
          else remainder[each*17+:17] <= left - score;
        end
      end
      for (int each = 0; each < TILES; each++) begin
        for (int lane = 0; lane < COLUMNS; lane++) begin
          if (valid3 && TILE_BITS'(tile3) == TILE_BITS'(each))
            fields[(each*COLUMNS+lane)*FIELD_BITS+:FIELD_BITS] <=
                fields[(each*COLUMNS+lane)*FIELD_BITS+:FIELD_BITS] + FIELD_BITS'(products3[lane*24+:24]);
        end
      end
    end
    if (mask_read) mask <= active[32'(mask_address)*SCAN+:SCAN];
  end
  logic unused;
  assign unused = ^{instr, field_tile, tile3};
  assign field = fields[32'(TILE_BITS'(field_tile))*COLUMNS*FIELD_BITS+:COLUMNS*FIELD_BITS];
endmodule
