// Reads the words of all layers in the order in which the array takes them: column tile, row block,
// chunk, row, plane. Of a convolution a chunk is a few taps of the window around a pixel, gathered in
// one access (map_memory); outside the map it is zero. Rows of tokens are those of the list that a
// mask scan made. It runs ahead of the array by a small queue, so that a word is there in every cycle.
module word_feeder #(
    parameter int COLUMNS = 32,
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
  localparam int BANK_BITS = $clog2(COLUMNS);
  localparam int TILE_BITS = 16 - BANK_BITS;

  // The loops.
  logic scanned;
  logic [7:0] tile, chunk, plane_number, tiles;
  logic [15:0] row, block_row, count, rows_left, rows_here, x, y, height;
  logic [3:0] tap, slice;      // first tap of the chunk, and its part of it
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
  assign tiles = (instr.weights == network_pkg::FETCHED) ? instr.tiles : 8'((live + 16'(COLUMNS - 1)) / 16'(COLUMNS));
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
      {tap, slice} <= '0;
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
        if (ends_chunk) begin
          chunk <= ends_tile ? '0 : chunk + 1'b1;
          slice <= (ends_tile || slice + 4'd1 >= instr.slices) ? '0 : slice + 1'b1;
          if (ends_tile) tap <= '0;
          else if (slice + 4'd1 >= instr.slices) tap <= tap + instr.chunk_taps;
        end
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
  logic [3:0] asked_tap, asked_slice;
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
    asked_tap <= tap;
    asked_slice <= slice;
    asked_last_input <= chunk + 8'd1 == instr.chunks;
    asked_live <= live;
    asked_tag <= {
      ITEM_BITS'(row - block_row), PLANE_BITS'(plane_number), index, tile, block_row, chunk == '0,
      chunk + 8'd1 == instr.chunks, ends_chunk, rows_left <= 16'(BLOCK_ITEMS), block_row == '0,
      tile + 8'd1 == tiles && rows_left <= 16'(BLOCK_ITEMS), rows_here
    };
  end

  // Then the addresses. A bank of the map has one of the three lines and one of the three columns of
  // the window, so that only thirds of the first line and column are needed, and of those before them.
  logic [7:0] entry, third_y, third_x, lines_of_three;
  logic [3:0] place_y, place_x;     // 0 to 2: bank of the first line, of the first column
  logic [MAP_BITS-1:0] line_entries, first_line, first_column, first_entry;
  assign height = asked_instr.rows >> network_pkg::line_shift(asked_instr.width);
  assign lines_of_three = network_pkg::third(9'(asked_instr.width) + 9'd2);
  assign third_y = network_pkg::third(9'(asked_y) + 9'd2);
  assign third_x = network_pkg::third(9'(asked_x) + 9'd2);
  assign place_y = 4'(asked_y) + 4'd2 - 4'd3 * 4'(third_y);
  assign place_x = 4'(asked_x) + 4'd2 - 4'd3 * 4'(third_x);
  assign entry = 8'(asked_slice) * asked_instr.plane_groups + (asked_plane >> 2);
  assign line_entries = MAP_BITS'(16'(lines_of_three) * 16'(asked_instr.row_entries));
  assign first_line = MAP_BITS'(16'(third_y) * 16'(line_entries));
  assign first_column = MAP_BITS'(16'(third_x) * 16'(asked_instr.row_entries));
  assign first_entry = MAP_BITS'(asked_instr.word_base) + MAP_BITS'(entry);
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
      : {asked_row[15:BANK_BITS] * TILE_BITS'(asked_instr.row_entries) + TILE_BITS'(asked_chunk), asked_row[BANK_BITS-1:0]};
  logic [2:0] lines_in, columns_in;
  assign lines_in = {asked_y + 16'd1 < height, 1'b1, asked_y != '0};
  assign columns_in = {asked_x + 16'd1 < 16'(asked_instr.width), 1'b1, asked_x != '0};
  always_comb begin
    for (int line = 0; line < 3; line++)
      for (int column = 0; column < 3; column++)
        map_address[(3*line+column)*MAP_BITS+:MAP_BITS] = first_entry
            + first_line - ((4'(line) >= place_y) ? line_entries : '0)
            + first_column - ((4'(column) >= place_x) ? MAP_BITS'(asked_instr.row_entries) : '0);
  end

  // Then the words.
  logic fetched_valid, fetched_map, fetched_values, fetched_packed;
  logic [TAG_BITS-1:0] fetched_tag;
  logic [15:0] fetched_token;
  logic [3:0] fetched_first, fetched_taps, fetched_y, fetched_x;
  logic [2:0] fetched_lines, fetched_columns;
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
    fetched_lines <= lines_in;
    fetched_columns <= columns_in;
    fetched_y <= place_y;
    fetched_x <= place_x;
    fetched_first <= asked_tap;
    fetched_taps <= asked_instr.chunk_taps;
    fetched_channels <= asked_instr.channels;
    fetched_part <= asked_instr.part;
    fetched_inputs <= (asked_instr.operand == network_pkg::FROM_VALUES) ? INPUT_BITS'(asked_live)
        : INPUT_BITS'(asked_last_input ? asked_instr.last_inputs : asked_instr.inputs);
  end
  logic [WORD_INPUTS-1:0] of_channels, gathered, chosen, meant;
  // The words in order of their taps: banks turned by the first line's place, then by the column's.
  logic [9*WORD_INPUTS-1:0] lines, taps;
  always_comb begin
    for (int dy = 0; dy < 3; dy++)
      lines[3*dy*WORD_INPUTS+:3*WORD_INPUTS] =
          (fetched_y == 4'd0) ? map_data[3*dy*WORD_INPUTS+:3*WORD_INPUTS]
        : (fetched_y == 4'd1) ? map_data[3*((dy+1)%3)*WORD_INPUTS+:3*WORD_INPUTS]
        : map_data[3*((dy+2)%3)*WORD_INPUTS+:3*WORD_INPUTS];
    for (int dy = 0; dy < 3; dy++)
      for (int dx = 0; dx < 3; dx++)
        taps[(3*dy+dx)*WORD_INPUTS+:WORD_INPUTS] =
            (fetched_x == 4'd0) ? lines[(3*dy+dx)*WORD_INPUTS+:WORD_INPUTS]
          : (fetched_x == 4'd1) ? lines[(3*dy+(dx+1)%3)*WORD_INPUTS+:WORD_INPUTS]
          : lines[(3*dy+(dx+2)%3)*WORD_INPUTS+:WORD_INPUTS];
    // Behind a tap's channels a map holds what another network left there.
    of_channels = ~({WORD_INPUTS{1'b1}} << fetched_channels);
    gathered = '0;
    for (int each = 0; each < 9; each++) begin
      logic [3:0] place;
      place = 4'(each) - fetched_first;
      if (fetched_lines[each/3] && fetched_columns[each%3] && 4'(each) >= fetched_first
          && place < fetched_taps)
        gathered = gathered
            | ((taps[each*WORD_INPUTS+:WORD_INPUTS] & of_channels) << (8'(place) * fetched_channels));
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
