// The layer engine: linear layers with their neurons, one instruction a layer and timestep, from
// on-chip memories. The weight port, the array and the vector unit each work their way through the
// layers in order; a layer's words wait for the layers it needs, its weights run ahead.
//
// The host writes and reads the memories while `run` is 0; addresses count whole entries.
module layer_top #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 32,
    parameter int LANES = 1,
    parameter int WORD_INPUTS = 128,
    parameter int FIFO_WORDS = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16,
    parameter int FRACTION_BITS = 4,
    parameter int PORT_INPUTS = 4,
    parameter int LOCAL_CHUNKS = 2,
    parameter int SUM_BLOCKS = 2,
    parameter int BLOCK_ITEMS = 256,
    parameter int PLANE_BITS = 3,
    parameter int ENCODE_STAGE = 0,
    parameter int SCAN = 16,
    parameter int QUEUE = 256,
    parameter int LAYER_BITS = 8,
    parameter int WORD_DEPTH = 16384,
    parameter int WEIGHT_DEPTH = 16384,
    parameter int MASK_DEPTH = 256,
    parameter int BIAS_DEPTH = 1024,
    parameter int VECTOR_DEPTH = 16384,
    parameter int HOST_BITS = 1024,
    parameter int SCORE_BITS = WEIGHT_BITS,
    parameter int STREAM_BITS = 4
) (
    input  logic                   clk,
    input  logic                   reset,
    input  logic                   run,
    input  logic [LAYER_BITS-1:0]  layers,
    output logic                   finished,
    // host: 0 words, 1 weights, 2 masks, 3 bias, 4 instructions, 5 stream, 6 membranes, 7 spikes, 8 scores
    input  logic                   host_write,
    input  logic                   host_read,
    input  logic [3:0]             host_memory,
    input  logic [23:0]            host_address,
    input  logic [HOST_BITS-1:0]   host_data,
    output logic [HOST_BITS-1:0]   host_result,
    // activity of this cycle
    output logic                   port_busy,
    output logic                   array_busy,
    output logic                   vector_busy,
    output logic                   skip_busy,
    output logic                   dropped,
    output logic                   pushed,
    output logic                   merged,
    output logic                   updated,
    output logic                   layer_ended,
    output logic [ROWS*LANES-1:0]  adding
);
  localparam int ITEM_BITS = (BLOCK_ITEMS > 1) ? $clog2(BLOCK_ITEMS) : 1;
  localparam int BLOCK_BITS = (SUM_BLOCKS > 1) ? $clog2(SUM_BLOCKS) : 1;
  localparam int SLOT_BITS = (LOCAL_CHUNKS > 1) ? $clog2(LOCAL_CHUNKS) : 1;
  localparam int SLOT_WORDS = WORD_INPUTS / PORT_INPUTS;
  localparam int LOAD_BITS = $clog2(LOCAL_CHUNKS * SLOT_WORDS);
  localparam int PORT_BITS = PORT_INPUTS * COLUMNS * WEIGHT_BITS;
  localparam int COUNT_BITS = $clog2(QUEUE + 1);
  localparam int SUMS = COLUMNS * SUM_BITS;
  localparam int INSTRUCTION_BITS = layer_pkg::INSTRUCTION_BITS;
  localparam int HELD_BITS = $clog2(LOCAL_CHUNKS + 1);
  localparam int OPEN_BITS = $clog2(SUM_BLOCKS + 1);
  localparam int TOKEN_PLACE_BITS = $clog2(SUM_BLOCKS * BLOCK_ITEMS);

  logic idle;
  assign idle = reset || !run;

  // Instructions: each of the three engines reads the one it is at.
  logic [INSTRUCTION_BITS-1:0] instructions[0:(1 << LAYER_BITS)-1];
  layer_pkg::instruction_t load_instr, word_instr, array_instr, drain_instr;
  logic [LAYER_BITS-1:0] load_layer, source_layer, ended;
  assign load_instr = instructions[load_layer];
  assign word_instr = instructions[source_layer];
  assign array_instr = instructions[word_layer];
  assign drain_instr = instructions[pass_layer];
  always_ff @(posedge clk) begin
    if (host_write && host_memory == 4'd4)
      instructions[host_address[LAYER_BITS-1:0]] <= host_data[INSTRUCTION_BITS-1:0];
  end
  always_ff @(posedge clk) begin
    if (idle) ended <= '0;
    else if (layer_ended) ended <= ended + 1'b1;
  end
  assign finished = run && ended == layers;

  // Weight port.
  logic chunk_freed, weight_read, load, chunk_loaded;
  logic [23:0] weight_address;
  logic [LOAD_BITS-1:0] load_address;
  logic [PORT_BITS-1:0] load_data;
  assign port_busy = weight_read;
  weight_loader #(
      .LAYER_BITS(LAYER_BITS),
      .LOCAL_CHUNKS(LOCAL_CHUNKS),
      .SLOT_WORDS(SLOT_WORDS)
  ) loader (
      .clk,
      .reset(idle),
      .layers,
      .layer(load_layer),
      .instr(load_instr),
      .ended,
      .freed(chunk_freed),
      .read(weight_read),
      .address(weight_address),
      .load,
      .load_address,
      .loaded(chunk_loaded)
  );
  host_memory #(
      .WIDTH(PORT_BITS),
      .DEPTH(WEIGHT_DEPTH)
  ) weight_memory (
      .clk,
      .write(host_write && host_memory == 4'd1),
      .write_address(host_address),
      .write_data(host_data[PORT_BITS-1:0]),
      .read(weight_read),
      .read_address(weight_address),
      .read_data(load_data)
  );

  // Token skip.
  logic scan, mask_read, list_ready, list_read;
  logic [15:0] mask_address, live, list_token;
  logic [COUNT_BITS-1:0] list_position;
  logic [SCAN-1:0] mask;
  logic stalled, stream_valid;
  logic [15:0] stream_token;
  token_skip #(
      .SCAN (SCAN),
      .QUEUE(QUEUE)
  ) skip (
      .clk,
      .reset(idle),
      .scan,
      .keep(1'b1),
      .tokens(word_instr.tokens),
      .mask_base(word_instr.mask_base),
      .mask_read,
      .mask_address,
      .mask,
      .reading(skip_busy),
      .ready(list_ready),
      .stalled,
      .live,
      .list_read,
      .list_position,
      .list_token,
      .stream_valid,
      .stream_token,
      .stream_take(1'b0)
  );
  host_memory #(
      .WIDTH(SCAN),
      .DEPTH(MASK_DEPTH)
  ) mask_memory (
      .clk,
      .write(host_write && host_memory == 4'd2),
      .write_address(host_address),
      .write_data(host_data[SCAN-1:0]),
      .read(mask_read),
      .read_address(24'(mask_address)),
      .read_data(mask)
  );

  // Words.
  logic word_read, word_valid, word_take, first_chunk, last_chunk, last, last_tile;
  logic [23:0] word_address;
  logic [WORD_INPUTS-1:0] word_data, word;
  logic [ITEM_BITS-1:0] item;
  logic [PLANE_BITS-1:0] plane;
  logic [15:0] token, word_rows;
  logic [LAYER_BITS-1:0] word_layer;
  logic [7:0] word_tile;
  word_source #(
      .LAYER_BITS (LAYER_BITS),
      .WORD_INPUTS(WORD_INPUTS),
      .ITEM_BITS  (ITEM_BITS),
      .PLANE_BITS (PLANE_BITS),
      .COUNT_BITS (COUNT_BITS)
  ) source (
      .clk,
      .reset(idle),
      .layers,
      .layer(source_layer),
      .instr(word_instr),
      .ended,
      .scan,
      .list_ready,
      .live,
      .list_read,
      .list_position,
      .list_token,
      .read(word_read),
      .address(word_address),
      .data(word_data),
      .valid(word_valid),
      .word,
      .item,
      .plane,
      .token,
      .word_layer,
      .word_tile,
      .first_chunk,
      .last_chunk,
      .last,
      .last_tile,
      .rows(word_rows),
      .take(word_take)
  );
  host_memory #(
      .WIDTH(WORD_INPUTS),
      .DEPTH(WORD_DEPTH)
  ) word_memory (
      .clk,
      .write(host_write && host_memory == 4'd0),
      .write_address(host_address),
      .write_data(host_data[WORD_INPUTS-1:0]),
      .read(word_read),
      .read_address(word_address),
      .read_data(word_data)
  );

  // Tiles: a tile starts when its weights are loaded and, if it is the first of a pass, a block of
  // partial sums is free. A pass is a column tile of a layer: all its chunks.
  logic [HELD_BITS-1:0] chunks_here;
  logic [OPEN_BITS-1:0] passes_open;
  logic [SLOT_BITS-1:0] slot;
  logic [BLOCK_BITS-1:0] block, next_block;
  logic start, first_taken, word_ready, tile_done, block_freed, tile_ends_pass;
  logic [1:0] tile_delay, pass_delay;
  assign start = chunks_here != '0
      && (!first_chunk || passes_open != OPEN_BITS'(SUM_BLOCKS));
  assign block = first_chunk ? next_block : kept_block;
  assign word_take = word_valid && word_ready;
  logic [BLOCK_BITS-1:0] kept_block;
  logic opens;
  assign opens = first_taken && first_chunk;
  always_ff @(posedge clk) begin
    if (idle) begin
      chunks_here <= '0;
      passes_open <= '0;
      slot <= '0;
      next_block <= '0;
      tile_delay <= '0;
      pass_delay <= '0;
    end else begin
      chunks_here <= chunks_here + HELD_BITS'(chunk_loaded) - HELD_BITS'(first_taken);
      passes_open <= passes_open + OPEN_BITS'(opens) - OPEN_BITS'(block_freed);
      if (first_taken) slot <= (slot == SLOT_BITS'(LOCAL_CHUNKS - 1)) ? '0 : slot + 1'b1;
      // The tile's end goes down the pipeline behind its last sums.
      tile_delay <= {tile_delay[0], tile_done};
      pass_delay <= {pass_delay[0], tile_done && tile_ends_pass};
    end
    if (opens) kept_block <= next_block;
    if (!idle && opens) next_block <= (next_block == BLOCK_BITS'(SUM_BLOCKS - 1)) ? '0 : next_block + 1'b1;
    if (first_taken) tile_ends_pass <= last_chunk;
  end
  assign chunk_freed = tile_delay[1];

  logic drain, emptied;
  logic [BLOCK_BITS-1:0] drain_block, emptied_block;
  logic [ITEM_BITS-1:0] drain_item;
  logic [SUMS-1:0] drain_sums;
  logic [SUM_BLOCKS-1:0] pending;
  logic in_first_tile;
  logic [BLOCK_BITS-1:0] word_block;
  // Within the first tile of a pass the block has been opened by its first word.
  always_ff @(posedge clk) begin
    if (idle) in_first_tile <= 1'b0;
    else if (word_take && last) in_first_tile <= 1'b0;
    else if (opens) in_first_tile <= 1'b1;
  end
  assign word_block = (first_chunk && !in_first_tile) ? block : kept_block;

  spike_skip_tile #(
      .ROWS(ROWS),
      .COLUMNS(COLUMNS),
      .LANES(LANES),
      .WORD_INPUTS(WORD_INPUTS),
      .FIFO_WORDS(FIFO_WORDS),
      .WEIGHT_BITS(WEIGHT_BITS),
      .SUM_BITS(SUM_BITS),
      .LOCAL_CHUNKS(LOCAL_CHUNKS),
      .PORT_INPUTS(PORT_INPUTS),
      .SUM_BLOCKS(SUM_BLOCKS),
      .BLOCK_ITEMS(BLOCK_ITEMS),
      .PLANE_BITS(PLANE_BITS),
      .ENCODE_STAGE(ENCODE_STAGE)
  ) array (
      .clk,
      .reset(idle),
      .start,
      .word_valid,
      .word,
      .item,
      .plane,
      .last,
      .block(word_block),
      .slot,
      .one_bit(array_instr.one_bit),
      .word_ready,
      .first_taken,
      .load,
      .load_address,
      .load_data,
      .drain,
      .drain_block,
      .drain_item,
      .drain_sums,
      .empty_block(emptied),
      .emptied_block,
      .pending,
      .busy(array_busy),
      .done(tile_done),
      .dropped,
      .pushed,
      .merged,
      .adding
  );

  // The token of each item, for whoever drains the block.
  logic [15:0] drain_token;
  sram_1r1w #(
      .WIDTH(16),
      .DEPTH(SUM_BLOCKS * BLOCK_ITEMS)
  ) item_tokens (
      .clk,
      .write(word_take && first_chunk),
      .write_address(TOKEN_PLACE_BITS'(32'(word_block) * BLOCK_ITEMS + 32'(item))),
      .write_data(token),
      .read(drain),
      .read_address(TOKEN_PLACE_BITS'(32'(drain_block) * BLOCK_ITEMS + 32'(drain_item))),
      .read_data(drain_token)
  );

  // Passes on their way to the vector unit, and how many of them are whole.
  logic pass_empty, pass_full, pass_begun;
  logic [LAYER_BITS-1:0] pass_layer;
  logic [7:0] pass_tile;
  logic [15:0] pass_rows;
  logic [BLOCK_BITS-1:0] pass_block;
  logic pass_last_tile;
  logic [OPEN_BITS-1:0] passes_whole;
  fifo #(
      .WIDTH(LAYER_BITS + 8 + 16 + BLOCK_BITS + 1),
      .DEPTH(SUM_BLOCKS)
  ) passes (
      .clk,
      .reset(idle),
      .push(opens),
      .push_data({word_layer, word_tile, word_rows, next_block, last_tile}),
      .pop(pass_begun),
      .head({pass_layer, pass_tile, pass_rows, pass_block, pass_last_tile}),
      .empty(pass_empty),
      .full(pass_full)
  );
  always_ff @(posedge clk) begin
    if (idle) passes_whole <= '0;
    else passes_whole <= passes_whole + OPEN_BITS'(pass_delay[1]) - OPEN_BITS'(pass_begun);
  end

  // Vector unit and the vectors in memory.
  logic read_membrane, read_stream, write_spikes, write_scores, write_stream;
  logic [15:0] bias_address;
  logic [23:0] membrane_address, stream_address, output_address, write_address, stream_write_address;
  logic [SUMS-1:0] bias;
  logic [COLUMNS*MEMBRANE_BITS-1:0] membrane, new_membrane;
  logic [COLUMNS*STREAM_BITS-1:0] stream, new_stream;
  logic [COLUMNS-1:0] spikes, host_spikes;
  logic [COLUMNS*SCORE_BITS-1:0] scores, host_scores;
  assign updated = write_spikes;
  vector_drain #(
      .COLUMNS(COLUMNS),
      .SUM_BITS(SUM_BITS),
      .MEMBRANE_BITS(MEMBRANE_BITS),
      .FRACTION_BITS(FRACTION_BITS),
      .SCORE_BITS(SCORE_BITS),
      .STREAM_BITS(STREAM_BITS),
      .ITEM_BITS(ITEM_BITS),
      .BLOCK_BITS(BLOCK_BITS)
  ) vectors (
      .clk,
      .reset(idle),
      .finished(!pass_empty && passes_whole != '0 && !pending[pass_block]),
      .block(pass_block),
      .tile(pass_tile),
      .last_tile(pass_last_tile),
      .rows(pass_rows),
      .instr(drain_instr),
      .begun(pass_begun),
      .drain,
      .drain_block,
      .drain_item,
      .sums(drain_sums),
      .token(drain_token),
      .bias_address,
      .bias,
      .read_membrane,
      .membrane_address,
      .read_stream,
      .stream_address,
      .membrane,
      .stream,
      .write_spikes,
      .write_scores,
      .write_stream,
      .write_address,
      .output_address,
      .stream_write_address,
      .spikes,
      .new_membrane,
      .scores,
      .new_stream,
      .busy(vector_busy),
      .emptied,
      .emptied_block,
      .block_freed,
      .layer_ended
  );
  host_memory #(
      .WIDTH(SUMS),
      .DEPTH(BIAS_DEPTH)
  ) bias_memory (
      .clk,
      .write(host_write && host_memory == 4'd3),
      .write_address(host_address),
      .write_data(host_data[SUMS-1:0]),
      .read(drain),
      .read_address(24'(bias_address)),
      .read_data(bias)
  );
  host_memory #(
      .WIDTH(COLUMNS * STREAM_BITS),
      .DEPTH(VECTOR_DEPTH)
  ) stream_memory (
      .clk,
      .write(run ? write_stream : host_write && host_memory == 4'd5),
      .write_address(run ? stream_write_address : host_address),
      .write_data(run ? new_stream : host_data[COLUMNS*STREAM_BITS-1:0]),
      .read(run ? read_stream : host_read),
      .read_address(run ? stream_address : host_address),
      .read_data(stream)
  );
  host_memory #(
      .WIDTH(COLUMNS * MEMBRANE_BITS),
      .DEPTH(VECTOR_DEPTH)
  ) membrane_memory (
      .clk,
      .write(run ? write_spikes : host_write && host_memory == 4'd6),
      .write_address(run ? write_address : host_address),
      .write_data(run ? new_membrane : host_data[COLUMNS*MEMBRANE_BITS-1:0]),
      .read(run ? read_membrane : host_read),
      .read_address(run ? membrane_address : host_address),
      .read_data(membrane)
  );
  host_memory #(
      .WIDTH(COLUMNS),
      .DEPTH(VECTOR_DEPTH)
  ) spike_memory (
      .clk,
      .write(write_spikes),
      .write_address(output_address),
      .write_data(spikes),
      .read(host_read),
      .read_address(host_address),
      .read_data(host_spikes)
  );
  host_memory #(
      .WIDTH(COLUMNS * SCORE_BITS),
      .DEPTH(VECTOR_DEPTH)
  ) score_memory (
      .clk,
      .write(write_scores),
      .write_address(output_address),
      .write_data(scores),
      .read(host_read),
      .read_address(host_address),
      .read_data(host_scores)
  );
  always_comb begin
    case (host_memory)
      4'd5: host_result = HOST_BITS'(stream);
      4'd6: host_result = HOST_BITS'(membrane);
      4'd8: host_result = HOST_BITS'(host_scores);
      default: host_result = HOST_BITS'(host_spikes);
    endcase
  end

  logic unused;
  assign unused = ^{stalled, stream_valid, stream_token, pass_full, host_data, array_instr};
endmodule
