// Reads the words of all layers in the order in which the array takes them: column tile, row block,
// chunk, row, plane. Of a convolution a chunk is a few taps of the window around a pixel, gathered in
// one access (map_memory); outside the map it is zero. Rows of tokens are those of the list that a
// mask scan made. It runs ahead of the array by a small queue, so that a word is there in every cycle.
module word_feeder #(
    parameter int WORD_INPUTS = 128,
    parameter int BLOCK_ITEMS = 256,
    parameter int PLANE_BITS = 3,
    parameter int COUNT_BITS = 9,
    parameter int MAP_BITS = 10,
    parameter int TOKEN_BITS = 10,
    parameter int ITEM_BITS = $clog2(BLOCK_ITEMS)
) (
    input  logic                    clk,
    input  logic                    reset,
    // the instruction it is at
    input  logic                    present,
    output logic [15:0]             index,
    input  network_pkg::instruction_t instr,
    input  logic [15:0]             ended,
    input  logic [15:0]             pixels_here,   // of the image
    // halting decisions pass here, when all before them has ended
    output logic                    halt,
    input  logic                    halt_done,
    // token skip
    output logic                    scan,
    input  logic                    list_ready,
    input  logic [15:0]             live,
    output logic                    list_read,
    output logic [COUNT_BITS-1:0]   list_position,
    input  logic [15:0]             list_token,
    // operand memories: data the cycle after
    output logic                    read_map,
    output logic                    read_tokens,
    output logic                    read_values,
    output logic                    read_packed,
    output logic [1:0]              read_plane,
    output logic [9*MAP_BITS-1:0]   map_address,
    output logic [TOKEN_BITS-1:0]   token_address,
    output logic [15:0]             column_address, // of values and packed rows: bank, then entry
    input  logic [9*WORD_INPUTS-1:0] map_data,
    input  logic [WORD_INPUTS-1:0]  token_data,
    input  logic [WORD_INPUTS-1:0]  values_data,
    input  logic [WORD_INPUTS-1:0]  packed_data,
    // the words
    output logic                    valid,
    output logic [WORD_INPUTS-1:0]  word,
    output logic [ITEM_BITS-1:0]    item,
    output logic [PLANE_BITS-1:0]   plane,
    output logic [15:0]             token,
    output logic [15:0]             word_index,
    output logic [7:0]              word_tile,
    output logic [15:0]             word_first_row,
    output logic                    first_chunk,
    output logic                    last_chunk,
    output logic                    last,          // word of its tile
    output logic                    last_block,
    output logic                    first_block,
    output logic                    last_pass,     // of its layer
    output logic [15:0]             block_rows,
    input  logic                    take
);
  localparam int AHEAD = 6;
  localparam int AHEAD_BITS = $clog2(AHEAD + 1);
  localparam int TAG_BITS = ITEM_BITS + PLANE_BITS + 16 + 8 + 16 + 6 + 16;
  localparam int INPUT_BITS = $clog2(WORD_INPUTS + 1);

  // The loops.
  logic scanned;
  logic [7:0] tile, chunk, plane_number, tiles;
  logic [15:0] row, block_row, count, rows_left, rows_here, x, y, height_row;
  logic [AHEAD_BITS-1:0] ahead;
  logic waits_over, ready, issue, last_plane, last_row, ends_chunk, ends_tile, ends_pass, ends_all;
  logic image_here;
  assign waits_over = present && (instr.back == '0 || ended + 16'(instr.back) > index);
  assign halt = present && instr.halting && ended == index;
  assign scan = waits_over && !instr.halting && instr.scan && !scanned;
  assign image_here = !instr.from_image
      || pixels_here >= instr.rows || pixels_here > row + 16'(instr.width) + 16'd2;
  assign ready = waits_over && !instr.halting && image_here
      && (instr.scan ? scanned && list_ready : 1'b1);
  assign count = instr.listed ? live : instr.rows;
  assign tiles = (instr.weights == network_pkg::FETCHED) ? instr.tiles : 8'((live + 16'd31) >> 5);
  assign rows_left = count - block_row;
  assign rows_here = (rows_left > 16'(BLOCK_ITEMS)) ? 16'(BLOCK_ITEMS) : rows_left;
  assign issue = ready && ahead != AHEAD_BITS'(AHEAD);
  assign last_plane = plane_number + 8'd1 == instr.planes;
  assign last_row = row + 16'd1 == block_row + rows_here;
  assign ends_chunk = last_plane && last_row;
  assign ends_tile = ends_chunk && chunk + 8'd1 == instr.chunks;
  assign ends_pass = ends_tile && rows_left <= 16'(BLOCK_ITEMS);
  assign ends_all = ends_pass && tile + 8'd1 == tiles;

  // Where a block of rows begins in the map, so that each chunk of it can begin there again.
  logic [15:0] block_x, block_y;
  always_ff @(posedge clk) begin
    if (reset) begin
      index <= '0;
      scanned <= 1'b0;
      tile <= '0;
      chunk <= '0;
      row <= '0;
      block_row <= '0;
      plane_number <= '0;
      ahead <= '0;
      x <= '0;
      y <= '0;
      block_x <= '0;
      block_y <= '0;
    end else begin
      if (scan) scanned <= 1'b1;
      ahead <= ahead + AHEAD_BITS'(issue) - AHEAD_BITS'(take);
      if (halt_done) index <= index + 1'b1;
      if (issue) begin
        plane_number <= last_plane ? '0 : plane_number + 1'b1;
        if (last_plane) begin
          row <= row + 1'b1;
          x <= (x + 16'd1 == 16'(instr.width)) ? '0 : x + 1'b1;
          if (x + 16'd1 == 16'(instr.width)) y <= y + 1'b1;
        end
        if (ends_chunk && !ends_tile) begin
          row <= block_row;
          x <= block_x;
          y <= block_y;
        end
        if (ends_chunk) chunk <= ends_tile ? '0 : chunk + 1'b1;
        if (ends_tile) begin
          block_row <= row + 1'b1;
          block_x <= (x + 16'd1 == 16'(instr.width)) ? '0 : x + 1'b1;
          block_y <= (x + 16'd1 == 16'(instr.width)) ? y + 1'b1 : y;
        end
        if (ends_pass) begin
          {row, block_row, x, y, block_x, block_y} <= '0;
          tile <= ends_all ? '0 : tile + 1'b1;
        end
        if (ends_all) begin
          index <= index + 1'b1;
          scanned <= 1'b0;
        end
      end
    end
`ifndef SYNTHESIS
    if (!reset && ready && count == '0) $fatal(1, "word_feeder: a layer without rows");
`endif
  end

  // First the token of the row.
  logic asked_valid, asked_last_input;
  logic [15:0] asked_row, asked_x, asked_y, asked_token, asked_live;
  logic [7:0] asked_plane, asked_chunk;
  network_pkg::instruction_t asked_instr;
  logic [TAG_BITS-1:0] asked_tag;
  assign list_read = issue && instr.listed;
  assign list_position = COUNT_BITS'(row);
  assign asked_token = asked_instr.listed ? list_token : asked_row;
  always_ff @(posedge clk) begin
    asked_valid <= issue && !reset;
    asked_instr <= instr;
    asked_row <= row;
    asked_x <= x;
    asked_y <= y;
    asked_plane <= plane_number;
    asked_chunk <= chunk;
    asked_last_input <= chunk + 8'd1 == instr.chunks;
    asked_live <= live;
    asked_tag <= {
      ITEM_BITS'(row - block_row), PLANE_BITS'(plane_number), index, tile, block_row, chunk == '0,
      chunk + 8'd1 == instr.chunks, ends_chunk, rows_left <= 16'(BLOCK_ITEMS), block_row == '0,
      tile + 8'd1 == tiles && rows_left <= 16'(BLOCK_ITEMS), rows_here
    };
  end

  // Then the addresses. A bank of the map has one of the three lines and one of the three columns.
  logic [3:0] first_tap, slice;
  logic [7:0] entry;
  logic [15:0] lines_of_three;
  assign height_row = asked_instr.rows / 16'(asked_instr.width);
  assign lines_of_three = (16'(asked_instr.width) + 16'd2) / 16'd3;
  assign first_tap = (asked_instr.slices > 4'd1) ? 4'(asked_chunk / 8'(asked_instr.slices))
                                                : 4'(asked_chunk * 8'(asked_instr.chunk_taps));
  assign slice = (asked_instr.slices > 4'd1) ? 4'(asked_chunk % 8'(asked_instr.slices)) : '0;
  assign entry = 8'(slice) * asked_instr.plane_groups + (asked_plane >> 2);
  assign read_map = asked_valid && asked_instr.operand == network_pkg::FROM_MAP;
  assign read_tokens = asked_valid && asked_instr.operand == network_pkg::FROM_TOKENS;
  assign read_values = asked_valid && asked_instr.operand == network_pkg::FROM_VALUES;
  assign read_packed = asked_valid && asked_instr.operand == network_pkg::FROM_PACKED;
  assign read_plane = asked_plane[1:0];
  assign token_address = TOKEN_BITS'(asked_instr.word_base)
      + TOKEN_BITS'(asked_token * 16'(asked_instr.row_entries))
      + TOKEN_BITS'(asked_chunk);
  assign column_address = (asked_instr.operand == network_pkg::FROM_VALUES)
      ? asked_instr.word_base + asked_row
      : {asked_row[15:5] * 11'(asked_instr.row_entries) + 11'(asked_chunk), asked_row[4:0]};
  logic [8:0] in_map, asked_inside;
  logic [35:0] tap_bank, asked_tap_bank;
  always_comb begin
    map_address = '0;
    in_map = '0;
    tap_bank = '0;
    for (int dy = 0; dy < 3; dy++) begin
      for (int dx = 0; dx < 3; dx++) begin
        logic [15:0] line, column;
        logic [3:0] bank;
        // One more than the pixel's, so that nothing is below zero.
        line = asked_y + 16'(dy);
        column = asked_x + 16'(dx);
        bank = 4'((line + 16'd2) % 16'd3) * 4'd3 + 4'((column + 16'd2) % 16'd3);
        tap_bank[(3*dy+dx)*4+:4] = bank;
        if (line != '0 && column != '0 && line <= height_row && column <= 16'(asked_instr.width)) begin
          in_map[3*dy+dx] = 1'b1;
          map_address[32'(bank)*MAP_BITS+:MAP_BITS] = MAP_BITS'(asked_instr.word_base)
              + MAP_BITS'((((line - 16'd1) / 16'd3) * lines_of_three + (column - 16'd1) / 16'd3)
                          * 16'(asked_instr.row_entries)) + MAP_BITS'(entry);
        end
      end
    end
  end

  // Then the words.
  logic fetched_valid, fetched_map, fetched_values, fetched_packed;
  logic [TAG_BITS-1:0] fetched_tag;
  logic [15:0] fetched_token;
  logic [3:0] fetched_first, fetched_taps;
  logic [7:0] fetched_channels;
  logic [1:0] fetched_part;
  logic [INPUT_BITS-1:0] fetched_inputs;
  always_ff @(posedge clk) begin
    fetched_valid <= asked_valid && !reset;
    fetched_tag <= asked_tag;
    fetched_token <= asked_token;
    fetched_map <= read_map;
    fetched_values <= read_values;
    fetched_packed <= read_packed;
    asked_inside <= in_map;
    asked_tap_bank <= tap_bank;
    fetched_first <= first_tap;
    fetched_taps <= (asked_instr.slices > 4'd1) ? 4'd1 : asked_instr.chunk_taps;
    fetched_channels <= asked_instr.channels;
    fetched_part <= asked_instr.part;
    fetched_inputs <= (asked_instr.operand == network_pkg::FROM_VALUES) ? INPUT_BITS'(asked_live)
        : INPUT_BITS'(asked_last_input ? asked_instr.last_inputs : asked_instr.inputs);
  end
  logic [WORD_INPUTS-1:0] gathered, chosen, meant;
  always_comb begin
    gathered = '0;
    for (int tap = 0; tap < 9; tap++) begin
      logic [3:0] place;
      place = 4'(tap) - fetched_first;
      if (asked_inside[tap] && 4'(tap) >= fetched_first && place < fetched_taps)
        gathered = gathered
            | (map_data[32'(asked_tap_bank[tap*4+:4])*WORD_INPUTS+:WORD_INPUTS]
               << (16'(place) * 16'(fetched_channels)));
    end
    chosen = fetched_map ? gathered : fetched_values ? values_data
           : fetched_packed ? packed_data : token_data;
    meant = (chosen >> {fetched_part, 5'd0}) & ~({WORD_INPUTS{1'b1}} << fetched_inputs);
  end

  logic empty, full;
  fifo #(
      .WIDTH(WORD_INPUTS + 16 + TAG_BITS),
      .DEPTH(AHEAD)
  ) queue (
      .clk,
      .reset,
      .push(fetched_valid),
      .push_data({meant, fetched_token, fetched_tag}),
      .pop(take),
      .head({
        word, token, item, plane, word_index, word_tile, word_first_row, first_chunk, last_chunk,
        last, last_block, first_block, last_pass, block_rows
      }),
      .empty,
      .full
  );
  assign valid = !empty;
  logic unused;
  assign unused = ^{full, instr, asked_instr, asked_live};
endmodule
