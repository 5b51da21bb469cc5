// Reads the words of all layers in the order in which the array takes them: column tile, chunk, row,
// plane. Rows are the tokens of the list that a mask scan made, or all of them. It runs ahead of the
// array by a small queue, so that a word is there in every cycle.
module word_source #(
    parameter int LAYER_BITS = 8,
    parameter int WORD_INPUTS = 128,
    parameter int ITEM_BITS = 8,
    parameter int PLANE_BITS = 3,
    parameter int COUNT_BITS = 9
) (
    input  logic                   clk,
    input  logic                   reset,
    input  logic [LAYER_BITS-1:0]  layers,
    output logic [LAYER_BITS-1:0]  layer,
    input  layer_pkg::instruction_t instr,
    input  logic [LAYER_BITS-1:0]  ended,
    // token skip
    output logic                   scan,
    input  logic                   list_ready,
    input  logic [15:0]            live,
    output logic                   list_read,
    output logic [COUNT_BITS-1:0]  list_position,
    input  logic [15:0]            list_token,
    // operand memory
    output logic                   read,
    output logic [23:0]            address,
    input  logic [WORD_INPUTS-1:0] data,
    // the words
    output logic                   valid,
    output logic [WORD_INPUTS-1:0] word,
    output logic [ITEM_BITS-1:0]   item,
    output logic [PLANE_BITS-1:0]  plane,
    output logic [15:0]            token,
    output logic [LAYER_BITS-1:0]  word_layer,
    output logic [7:0]             word_tile,
    output logic                   first_chunk,
    output logic                   last_chunk,
    output logic                   last,        // word of its tile
    output logic                   last_tile,
    output logic [15:0]            rows,        // of its tile
    input  logic                   take
);
  localparam int AHEAD = 6;
  localparam int AHEAD_BITS = $clog2(AHEAD + 1);

  localparam int TAG_BITS = ITEM_BITS + PLANE_BITS + LAYER_BITS + 8 + 4 + 16;

  // The loops.
  logic scanned;
  logic [7:0] tile, chunk;
  logic [15:0] row, count;
  logic [7:0] plane_number;
  logic [AHEAD_BITS-1:0] ahead;
  logic ready, issue, last_plane, last_row, ends_chunk, ends_tile, waits_over;
  assign waits_over = layer != layers && instr.wait_for <= 16'(ended);
  assign scan = waits_over && instr.scan && !scanned;
  assign ready = waits_over && (instr.scan ? scanned && list_ready : 1'b1);
  assign count = instr.listed ? live : instr.rows;
  assign issue = ready && ahead != AHEAD_BITS'(AHEAD);
  assign last_plane = plane_number + 8'd1 == instr.planes;
  assign last_row = row + 16'd1 == count;
  assign ends_chunk = last_plane && last_row;
  assign ends_tile = ends_chunk && chunk + 8'd1 == instr.chunks;

  always_ff @(posedge clk) begin
    if (reset) begin
      layer <= '0;
      scanned <= 1'b0;
      tile <= '0;
      chunk <= '0;
      row <= '0;
      plane_number <= '0;
      ahead <= '0;
    end else begin
      if (scan) scanned <= 1'b1;
      ahead <= ahead + AHEAD_BITS'(issue) - AHEAD_BITS'(take);
      if (issue) begin
        plane_number <= last_plane ? '0 : plane_number + 1'b1;
        if (last_plane) row <= last_row ? '0 : row + 1'b1;
        if (ends_chunk) chunk <= ends_tile ? '0 : chunk + 1'b1;
        if (ends_tile) tile <= (tile + 8'd1 == instr.tiles) ? '0 : tile + 1'b1;
        if (ends_tile && tile + 8'd1 == instr.tiles) begin
          layer <= layer + 1'b1;
          scanned <= 1'b0;
        end
      end
    end
`ifndef SYNTHESIS
    if (!reset && ready && count == '0) $fatal(1, "word_source: a layer without rows");
`endif
  end

  // First the token of the row, then the word.
  logic [TAG_BITS-1:0] asked, fetched;
  logic asked_valid, fetched_valid, asked_listed;
  logic [15:0] asked_row, asked_words, asked_token, fetched_token;
  logic [23:0] asked_place;
  assign list_read = issue && instr.listed;
  assign list_position = COUNT_BITS'(row);
  assign asked_token = asked_listed ? list_token : asked_row;
  assign read = asked_valid;
  assign address = asked_place + 24'(asked_token * asked_words);
  always_ff @(posedge clk) begin
    asked_valid <= issue && !reset;
    asked_listed <= instr.listed;
    asked_row <= row;
    asked_words <= instr.row_words;
    asked_place <= instr.word_base + 24'(plane_number * instr.chunks) + 24'(chunk);
    asked <= {
      ITEM_BITS'(row), PLANE_BITS'(plane_number), layer, tile, chunk == '0,
      chunk + 8'd1 == instr.chunks, ends_chunk, tile + 8'd1 == instr.tiles, count
    };
    fetched_valid <= asked_valid && !reset;
    fetched <= asked;
    fetched_token <= asked_token;
  end

  logic empty, full;
  fifo #(
      .WIDTH(WORD_INPUTS + 16 + TAG_BITS),
      .DEPTH(AHEAD)
  ) queue (
      .clk,
      .reset,
      .push(fetched_valid),
      .push_data({data, fetched_token, fetched}),
      .pop(take),
      .head({word, token, item, plane, word_layer, word_tile, first_chunk, last_chunk, last, last_tile, rows}),
      .empty,
      .full
  );
  assign valid = !empty;
  logic unused;
  assign unused = full ^ (^instr);
endmodule
