// The vector unit: it takes a block of partial sums, a vector a cycle, to spikes and membranes, or
// stores scores. A residual takes a second cycle for each vector; early integration two for each
// timestep; a pool ten for each result, or eight beside those of early integration.
// The last results of a pass can be used four cycles after its last busy cycle.
module vector_engine #(
    parameter int COLUMNS = 32,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16,
    parameter int STREAM_BITS = 4,
    parameter int BLOCK_ITEMS = 256,
    parameter int BLOCK_BITS = 1,
    parameter int MAP_WIDTH = 64,
    parameter int TOKENS = 64,
    parameter int ATTENTION_CHANNELS = 256,
    parameter int ITEM_BITS = $clog2(BLOCK_ITEMS)
) (
    input  logic                             clk,
    input  logic                             reset,
    input  logic [7:0]                       timestep,
    input  logic [7:0]                       timesteps,
    input  logic [15:0]                      live,
    input  logic [TOKENS*16-1:0]             token_of,    // by place in the list
    // the pass at the head of the queue; `finished`: its sums are whole
    input  logic                             finished,
    input  network_pkg::instruction_t        instr,
    input  logic [15:0]                      index,
    input  logic [BLOCK_BITS-1:0]            block,
    input  logic [7:0]                       tile,
    input  logic                             last_pass,
    input  logic [15:0]                      first_row,
    input  logic [15:0]                      rows,
    output logic                             begun,       // the pass leaves the queue
    // partial sums, their tokens, bias and thresholds: data a cycle later
    output logic                             drain,
    output logic [BLOCK_BITS-1:0]            drain_block,
    output logic [ITEM_BITS-1:0]             drain_item,
    input  logic [COLUMNS*SUM_BITS-1:0]      sums,
    input  logic [15:0]                      token,
    output logic                             read_constants,
    output logic [15:0]                      constant_address,
    input  logic [COLUMNS*(SUM_BITS+MEMBRANE_BITS)-1:0] constants,
    // vectors in memory: data a cycle later
    output logic                             read_membrane,
    output logic [15:0]                      membrane_address,
    input  logic [COLUMNS*MEMBRANE_BITS-1:0] membrane,
    output logic                             write_membrane,
    output logic [15:0]                      write_address,
    output logic [COLUMNS*MEMBRANE_BITS-1:0] new_membrane,
    output logic                             read_stream,
    output logic [15:0]                      stream_address,
    input  logic [COLUMNS*STREAM_BITS-1:0]   stream,
    output logic                             write_stream,
    output logic [15:0]                      stream_write_address,
    // results, four cycles after their sums were asked for; planes lowest first
    output logic                             result,
    output network_pkg::instruction_t        result_instr,
    output logic [15:0]                      result_index,
    output logic [7:0]                       result_tile,
    output logic [15:0]                      result_token,
    output logic [15:0]                      result_row,
    output logic [COLUMNS-1:0]               result_spikes,
    output logic [STREAM_BITS*COLUMNS-1:0]   result_planes,
    output logic                             result_is_score,
    output logic [COLUMNS*8-1:0]             result_scores,
    output logic                             step_result,   // spikes of a step of early integration
    // state
    output logic                             busy,
    output logic                             emptied,       // the block can be cleared
    output logic [BLOCK_BITS-1:0]            emptied_block,
    output logic                             block_freed,   // visible when all results are
    output logic                             layer_ended
);
  localparam int LINE_BITS = $clog2(MAP_WIDTH);
  localparam int SUMS = COLUMNS * SUM_BITS;

  // The pass being drained: that of the queue in its first cycle, then the one kept.
  logic active;
  network_pkg::pass_t kept, now;
  logic [15:0] number, results;
  logic [7:0] step, group;
  logic ends, last_step, first_step;
  assign begun = !active && finished;
  assign now = active ? kept : {instr, index, 8'(block), tile, last_pass, first_row, rows};
  assign busy = active || finished;
  // A window's last element is read in step 8; its neurons begin there.
  assign group = (now.instr.pool ? 8'd8 : 8'd0)
               + ((now.instr.neurons == network_pkg::COUNTED) ? timesteps << 1
                  : (now.instr.pool || now.instr.residual) ? 8'd2 : 8'd1);
  assign results = now.instr.pool ? now.rows >> 2 : now.rows;
  assign first_step = step == '0;
  assign last_step = step + 8'd1 == group;
  assign ends = busy && last_step && number + 16'd1 == results;

  // The pool's place: result (line, column) of the block, and a step of its window.
  logic [15:0] pool_line, pool_column;
  logic [1:0] dy, dx;
  logic [15:0] line_in, column_in, width, block_lines;
  logic [2:0] shift;
  logic in_window, in_map, from_saved;
  assign width = 16'(now.instr.width);
  assign shift = network_pkg::line_shift(now.instr.width);
  assign block_lines = now.rows >> shift;
  assign line_in = {pool_line[14:0], 1'b0} + 16'(dy);       // one more than the line
  assign column_in = {pool_column[14:0], 1'b0} + 16'(dx);   // one more than the column
  assign in_window = now.instr.pool && step < 8'd9;
  assign from_saved = line_in == '0;
  assign in_map = column_in != '0 && (!from_saved || now.first_row != '0);

  always_ff @(posedge clk) begin
    if (reset) begin
      active <= 1'b0;
      number <= '0;
      step <= '0;
      {pool_line, pool_column, dy, dx} <= '0;
    end else begin
      active <= busy && !ends;
      if (busy) begin
        step <= last_step ? '0 : step + 1'b1;
        if (last_step) number <= ends ? '0 : number + 1'b1;
        if (now.instr.pool) begin
          dx <= (last_step || dx == 2'd2) ? '0 : dx + 1'b1;
          if (last_step) dy <= '0;
          else if (dx == 2'd2 && step < 8'd8) dy <= dy + 1'b1;
          if (last_step) begin
            pool_column <= (pool_column + 16'd1 == (width >> 1)) ? '0 : pool_column + 1'b1;
            if (pool_column + 16'd1 == (width >> 1)) pool_line <= ends ? '0 : pool_line + 1'b1;
          end
        end
      end
    end
    if (begun) kept <= now;
  end

  assign drain = busy && (now.instr.pool ? in_window && in_map && !from_saved : first_step);
  assign drain_block = BLOCK_BITS'(now.block);
  assign drain_item = now.instr.pool
      ? ITEM_BITS'((line_in - 16'd1) * width + column_in - 16'd1) : ITEM_BITS'(number);
  assign read_constants = busy;
  assign constant_address = now.instr.constant_base + 16'(now.tile);

  // Cycle 1: sums, constants and token are there; membranes are asked for.
  logic summed1, pooling1, first1, inside1, saved1, saves1, at_rest1, passes1;
  logic [LINE_BITS-1:0] column1;
  logic parity1;
  network_pkg::pass_t pass1;
  logic [15:0] pool_token1, row1, token1;
  logic [SUMS-1:0] saved_sums, elements, best, best_now, sums1;
  always_ff @(posedge clk) begin
    summed1 <= busy && !reset && (now.instr.pool ? step == 8'd8 : first_step);
    pooling1 <= busy && in_window && !reset;
    first1 <= first_step;
    inside1 <= in_map;
    saved1 <= from_saved;
    // The block's last line is kept for the windows that begin the next block.
    saves1 <= busy && in_window && in_map && line_in == block_lines && !reset;
    column1 <= LINE_BITS'(column_in - 16'd1);
    parity1 <= now.first_row[ITEM_BITS];
    pass1 <= now;
    row1 <= number;
    pool_token1 <= ((now.first_row >> shift) >> 1) * (width >> 1)
                 + pool_line * (width >> 1) + pool_column;
    if (pooling1) best <= best_now;
  end
  sram_1r1w #(
      .WIDTH(SUMS),
      .DEPTH(2 * MAP_WIDTH)
  ) saved_line (
      .clk,
      .write(saves1),
      .write_address({parity1, column1}),
      .write_data(elements),
      .read(busy && in_window && from_saved),
      .read_address({!now.first_row[ITEM_BITS], LINE_BITS'(column_in - 16'd1)}),
      .read_data(saved_sums)
  );
  assign elements = saved1 ? saved_sums : sums;
  for (genvar lane = 0; lane < COLUMNS; lane++) begin : maximum
    logic signed [SUM_BITS-1:0] old, found;
    assign old = first1 ? {1'b1, {(SUM_BITS - 1){1'b0}}} : best[lane*SUM_BITS+:SUM_BITS];
    assign found = inside1 ? elements[lane*SUM_BITS+:SUM_BITS] : {1'b1, {(SUM_BITS - 1){1'b0}}};
    assign best_now[lane*SUM_BITS+:SUM_BITS] = (found > old) ? found : old;
  end
  assign sums1 = pass1.instr.pool ? best_now : sums;
  assign token1 = pass1.instr.pool ? pool_token1 : token;
  assign passes1 = summed1 && pass1.instr.neurons != network_pkg::COUNTED;
  assign at_rest1 = !pass1.instr.stateful || timestep == '0;
  assign read_membrane = passes1 && pass1.instr.stateful && !pass1.instr.attention;
  assign membrane_address = pass1.instr.membrane_base + 16'(pass1.tile * pass1.instr.tokens) + token1;

  // Attention's membranes lie by token, a bank each; lanes are places in the list.
  logic [COLUMNS*MEMBRANE_BITS-1:0] gathered;
  logic attention2, attention4;
  localparam int ATTENTION_BITS = $clog2(ATTENTION_CHANNELS);
  localparam int OWNER_BITS = $clog2(TOKENS);
  logic [COLUMNS-1:0] owned1;
  logic [COLUMNS*OWNER_BITS-1:0] owners1;
  always_comb begin
    for (int lane = 0; lane < COLUMNS; lane++) begin
      logic [15:0] place;
      place = 16'(pass1.tile) * 16'(COLUMNS) + 16'(lane);
      owned1[lane] = place < live;
      owners1[lane*OWNER_BITS+:OWNER_BITS] = token_of[32'(place[OWNER_BITS-1:0])*16+:OWNER_BITS];
    end
  end
  network_pkg::pass_t pass2, pass3, pass4;
  logic [15:0] row2, row3, row4, token2, token3, token4;
  list_memory #(
      .LANES(COLUMNS),
      .BITS(MEMBRANE_BITS),
      .TOKENS(TOKENS),
      .DEPTH(ATTENTION_CHANNELS)
  ) by_token (
      .clk,
      .read(passes1 && pass1.instr.attention),
      .read_address(ATTENTION_BITS'(pass1.instr.membrane_base + row1)),
      .owned(owned1),
      .owners(owners1),
      .read_data(gathered),
      .write(attention4),
      .write_address(ATTENTION_BITS'(pass4.instr.membrane_base + row4)),
      .write_data(new_membrane)
  );

  // Cycles 1 to 4: the neurons; scores and addresses go beside them.
  logic passes2, passes3, passes4, at_rest2;
  logic [COLUMNS*8-1:0] scores2, scores3, scores4;
  logic [COLUMNS-1:0] spikes4;
  always_ff @(posedge clk) begin
    passes2 <= passes1 && !reset;
    passes3 <= passes2 && !reset;
    passes4 <= passes3 && !reset;
    {pass4, pass3, pass2} <= {pass3, pass2, pass1};
    {row4, row3, row2} <= {row3, row2, row1};
    {token4, token3, token2} <= {token3, token2, token1};
    {scores4, scores3} <= {scores3, scores2};
    at_rest2 <= at_rest1;
    for (int lane = 0; lane < COLUMNS; lane++) scores2[lane*8+:8] <= sums1[lane*SUM_BITS+:8];
  end
  assign attention2 = pass2.instr.attention;
  assign attention4 = passes4 && pass4.instr.attention;
  neuron_unit #(
      .LANES(COLUMNS),
      .SUM_BITS(SUM_BITS),
      .MEMBRANE_BITS(MEMBRANE_BITS)
  ) neurons (
      .clk,
      .sums(sums1),
      .bias(constants[0+:SUMS]),
      .threshold(constants[SUMS+:COLUMNS*MEMBRANE_BITS]),
      .fraction(pass1.instr.fraction),
      .at_rest(at_rest2),
      .membrane(attention2 ? gathered : membrane),
      .spikes(spikes4),
      .new_membrane
  );
  assign write_membrane = passes4 && pass4.instr.stateful && !pass4.instr.attention;
  assign write_address = pass4.instr.membrane_base + 16'(pass4.tile * pass4.instr.tokens) + token4;
  assign read_stream = passes3 && pass3.instr.residual;
  assign stream_address = pass3.instr.stream_in + 16'(pass3.tile * pass3.instr.tokens) + token3;
  assign write_stream = passes4 && pass4.instr.put_stream;
  assign stream_write_address = pass4.instr.stream_out + 16'(pass4.tile * pass4.instr.tokens) + token4;

  // Early integration.
  logic counted, counts_done;
  logic [COLUMNS-1:0] step_spikes;
  logic [STREAM_BITS*COLUMNS-1:0] counts;
  network_pkg::pass_t counting;
  logic [15:0] counting_token;
  spike_counter #(
      .LANES(COLUMNS),
      .SUM_BITS(SUM_BITS),
      .MEMBRANE_BITS(MEMBRANE_BITS),
      .COUNT_BITS(STREAM_BITS)
  ) counter (
      .clk,
      .reset,
      .load(counted),
      .timesteps,
      .sums(sums1),
      .bias(constants[0+:SUMS]),
      .threshold(constants[SUMS+:COLUMNS*MEMBRANE_BITS]),
      .fraction(pass1.instr.fraction),
      .stepped(step_result),
      .spikes(step_spikes),
      .done(counts_done),
      .counts
  );
  assign counted = summed1 && pass1.instr.neurons == network_pkg::COUNTED;
  // A vector's last spikes come when the next one has just been loaded.
  network_pkg::pass_t loaded;
  logic [15:0] loaded_token;
  always_ff @(posedge clk) begin
    if (counted) begin
      loaded <= pass1;
      loaded_token <= token1;
    end
    counting <= loaded;
    counting_token <= loaded_token;
  end

  // Results.
  assign result = counts_done || (passes4 && pass4.instr.neurons == network_pkg::SPIKES);
  assign result_instr = step_result ? counting.instr : pass4.instr;
  assign result_index = step_result ? counting.index : pass4.index;
  assign result_tile = step_result ? counting.tile : pass4.tile;
  assign result_token = step_result ? counting_token : token4;
  assign result_row = pass4.first_row + row4;
  assign result_spikes = step_result ? step_spikes : spikes4;
  assign result_is_score = passes4 && pass4.instr.neurons == network_pkg::KEPT;
  assign result_scores = scores4;
  logic [STREAM_BITS*COLUMNS-1:0] sum_planes;
  for (genvar lane = 0; lane < COLUMNS; lane++) begin : add
    logic [STREAM_BITS-1:0] value;
    assign value = STREAM_BITS'(spikes4[lane])
                 + (pass4.instr.residual ? stream[lane*STREAM_BITS+:STREAM_BITS] : '0);
    for (genvar each = 0; each < STREAM_BITS; each++) begin : digits
      assign sum_planes[each*COLUMNS+lane] = value[each];
    end
  end
  assign result_planes = step_result ? counts : sum_planes;

  // What has ended, when its last result is there.
  logic [3:0] freeing, ending;
  always_ff @(posedge clk) begin
    freeing <= reset ? '0 : {freeing[2:0], ends};
    ending <= reset ? '0 : {ending[2:0], ends && now.last_pass};
    emptied <= ends && !reset;
    emptied_block <= BLOCK_BITS'(now.block);
`ifndef SYNTHESIS
    if (!reset && step_result && passes4) $fatal(1, "vector_engine: two results in a cycle");
`endif
  end
  assign block_freed = freeing[3];
  assign layer_ended = ending[3];

  logic unused;
  assign unused = ^{now, pass1, pass2, pass3, pass4, counting, line_in, column_in};
endmodule
