// The network engine: any STAS Spikformer up to the sizes of its parameters, from a program of one
// instruction a layer. Weights and images come from DRAM, activations stay on chip. DRAM port, weight
// port, array and vector unit each work their way through the layers in order; a layer's words wait for
// the layers it needs, its weights run ahead.
module network_top #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 32,
    parameter int LANES = 1,
    parameter int WORD_INPUTS = 128,
    parameter int FIFO_WORDS = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16,
    parameter int PORT_INPUTS = 4,
    parameter int LOCAL_CHUNKS = 2,
    parameter int SUM_BLOCKS = 2,
    parameter int BLOCK_ITEMS = 256,
    parameter int PLANE_BITS = 3,
    parameter int ENCODE_STAGE = 0,
    parameter int SCAN = 16,
    parameter int QUEUE = 256,
    parameter int WEIGHT_SLOTS = 64,
    parameter int STREAM_BITS = 4,
    parameter int TOKENS = 64,
    parameter int TILES = 4,                  // column tiles of a token's channels
    parameter int CLASSES = 16,
    parameter int MAP_DEPTH = 1024,
    parameter int TOKEN_DEPTH = 1024,
    parameter int VALUE_DEPTH = 8,
    parameter int KEY_DEPTH = 16,
    parameter int SCORE_DEPTH = 128,
    parameter int STREAM_DEPTH = 2048,
    parameter int MEMBRANE_DEPTH = 8192,
    parameter int ATTENTION_CHANNELS = 256,
    parameter int CONSTANT_DEPTH = 512,
    parameter int HEAD_DEPTH = 256,
    parameter int PROGRAM_DEPTH = 256,
    parameter int MAP_WIDTH = 64,
    parameter int IMAGE_BEATS = 32,
    parameter int BEAT_BITS = PORT_INPUTS * COLUMNS * WEIGHT_BITS
) (
    input  logic                 clk,
    input  logic                 reset,
    // AXI4-Lite slave: registers
    input  logic                 s_awvalid,
    output logic                 s_awready,
    input  logic [7:0]           s_awaddr,
    input  logic                 s_wvalid,
    output logic                 s_wready,
    input  logic [31:0]          s_wdata,
    input  logic [3:0]           s_wstrb,     // registers are written as whole words
    output logic                 s_bvalid,
    input  logic                 s_bready,
    output logic [1:0]           s_bresp,
    input  logic                 s_arvalid,
    output logic                 s_arready,
    input  logic [7:0]           s_araddr,
    output logic                 s_rvalid,
    input  logic                 s_rready,
    output logic [31:0]          s_rdata,
    output logic [1:0]           s_rresp,
    // AXI4 master: DRAM. One identifier, so that data come in the order of their requests.
    output logic                 m_arvalid,
    input  logic                 m_arready,
    output logic                 m_arid,
    output logic [31:0]          m_araddr,
    output logic [7:0]           m_arlen,
    output logic [2:0]           m_arsize,
    output logic [1:0]           m_arburst,
    input  logic                 m_rvalid,
    output logic                 m_rready,
    input  logic                 m_rid,
    input  logic [BEAT_BITS-1:0] m_rdata,
    input  logic [1:0]           m_rresp,
    input  logic                 m_rlast,
    output logic                 m_awvalid,
    input  logic                 m_awready,
    output logic                 m_awid,
    output logic [31:0]          m_awaddr,
    output logic [7:0]           m_awlen,
    output logic [2:0]           m_awsize,
    output logic [1:0]           m_awburst,
    output logic                 m_wvalid,
    input  logic                 m_wready,
    output logic [BEAT_BITS-1:0] m_wdata,
    output logic [BEAT_BITS/8-1:0] m_wstrb,
    output logic                 m_wlast,
    input  logic                 m_bvalid,
    output logic                 m_bready,
    input  logic                 m_bid,
    input  logic [1:0]           m_bresp,
    // what a bench looks at: results as they are written, ends of layers, decisions
    output logic                 running,
    output logic                 seen_result,
    output logic                 seen_step,
    output logic [15:0]          seen_index,
    output logic [7:0]           seen_tile,
    output logic [15:0]          seen_token,
    output logic [15:0]          seen_row,
    output logic [COLUMNS-1:0]   seen_spikes,
    output logic [STREAM_BITS*COLUMNS-1:0] seen_planes,
    output logic                 seen_end,
    output logic                 seen_decision,
    output logic [TOKENS-1:0]    seen_mask,
    output logic                 seen_head
);
  localparam int ITEM_BITS = $clog2(BLOCK_ITEMS);
  localparam int BLOCK_BITS = (SUM_BLOCKS > 1) ? $clog2(SUM_BLOCKS) : 1;
  localparam int SLOT_BITS = (LOCAL_CHUNKS > 1) ? $clog2(LOCAL_CHUNKS) : 1;
  localparam int SLOT_WORDS = WORD_INPUTS / PORT_INPUTS;
  localparam int LOAD_BITS = $clog2(LOCAL_CHUNKS * SLOT_WORDS);
  localparam int COUNT_BITS = $clog2(QUEUE + 1);
  localparam int SUMS = COLUMNS * SUM_BITS;
  localparam int HELD_BITS = $clog2(LOCAL_CHUNKS + 1);
  localparam int OPEN_BITS = $clog2(SUM_BLOCKS + 1);
  localparam int TOKEN_PLACE_BITS = $clog2(SUM_BLOCKS * BLOCK_ITEMS);
  localparam int MAP_BITS = $clog2(MAP_DEPTH);
  localparam int TOKEN_BITS = $clog2(TOKEN_DEPTH);
  localparam int VALUE_BITS = (VALUE_DEPTH > 1) ? $clog2(VALUE_DEPTH) : 1;
  localparam int KEY_BITS = (KEY_DEPTH > 1) ? $clog2(KEY_DEPTH) : 1;
  localparam int SCORE_BITS_OF_DEPTH = $clog2(SCORE_DEPTH);
  localparam int STREAM_DEPTH_BITS = $clog2(STREAM_DEPTH);
  localparam int MEMBRANE_DEPTH_BITS = $clog2(MEMBRANE_DEPTH);
  localparam int CONSTANT_BITS = $clog2(CONSTANT_DEPTH);
  localparam int HEAD_BITS = $clog2(HEAD_DEPTH);
  localparam int PROGRAM_BITS = $clog2(PROGRAM_DEPTH);
  localparam int LANE_BITS = $clog2(COLUMNS);
  localparam int POSITION_TILES = TOKENS / COLUMNS;
  localparam int KEY_PARTS = PORT_INPUTS * WEIGHT_BITS / COLUMNS;  // column tiles of a word of keys
  localparam int PARTS = WORD_INPUTS / COLUMNS;
  localparam int PART_SHIFT = $clog2(PARTS);
  localparam int PART_BITS = (PARTS > 1) ? PART_SHIFT : 1;
  localparam int BUFFER_BITS = $clog2(WEIGHT_SLOTS * SLOT_WORDS);
  localparam int FIELD_BITS = 32;
  localparam int SETTINGS = 14;
  localparam int COUNTERS = 11;
  localparam int OWNER_BITS = $clog2(TOKENS);

  // Registers.
  logic run, configure, image_finished, engine_idle, refused;
  logic [SETTINGS*32-1:0] settings;
  logic [COUNTERS*32-1:0] counters;
  logic [31:0] config_address, weight_base, image_address, result_address;
  logic [15:0] program_size, constants_size, head_size, tokens, image_pixels;
  logic [7:0] timesteps, classes, head_tiles, image_width, image_beats;
  logic [1:0] pixel_shift;
  logic decides;
  logic [16:0] limit, mean_weight;
  assign config_address = settings[0+:32];
  assign weight_base = settings[32+:32];
  assign image_address = settings[64+:32];
  assign result_address = settings[96+:32];
  assign program_size = settings[128+:16];
  assign constants_size = settings[160+:16];
  assign head_size = settings[192+:16];
  assign timesteps = settings[224+:8];
  assign classes = settings[232+:8];
  assign head_tiles = settings[240+:8];
  assign tokens = settings[256+:16];
  assign image_pixels = settings[288+:16];
  assign image_width = settings[304+:8];
  assign pixel_shift = settings[312+:2];
  assign image_beats = settings[320+:8];
  assign limit = settings[352+:17];
  assign mean_weight = settings[384+:17];
  assign decides = settings[416];
  registers #(
      .SETTINGS(SETTINGS),
      .COUNTERS(COUNTERS)
  ) bank (
      .clk,
      .reset,
      .awvalid(s_awvalid),
      .awready(s_awready),
      .awaddr(s_awaddr),
      .wvalid(s_wvalid),
      .wready(s_wready),
      .wdata(s_wdata),
      .bvalid(s_bvalid),
      .bready(s_bready),
      .arvalid(s_arvalid),
      .arready(s_arready),
      .araddr(s_araddr),
      .rvalid(s_rvalid),
      .rready(s_rready),
      .rdata(s_rdata),
      .run,
      .configure,
      .settings,
      .idle(engine_idle),
      .finished(image_finished),
      .refused,
      .counters
  );

  // Configuration: program, constants, head weights, table with shifts, biases; a beat an entry.
  logic configuring, beat_valid, beat_is_image, port_idle;
  logic [BEAT_BITS-1:0] beat;
  logic [15:0] config_beat, config_beats, of_constants, of_head;
  logic [network_pkg::INSTRUCTION_BITS-1:0] instructions[0:PROGRAM_DEPTH-1];
  logic [16*17-1:0] scores_table;
  logic [CLASSES*8-1:0] shifts;
  logic [CLASSES*64-1:0] biases;
  logic config_valid, is_program, is_constant, is_head;
  assign config_beats = program_size + constants_size + head_size + 16'd2;
  assign config_valid = beat_valid && !beat_is_image;
  assign of_constants = config_beat - program_size;
  assign of_head = of_constants - constants_size;
  assign is_program = config_beat < program_size;
  assign is_constant = !is_program && of_constants < constants_size;
  assign is_head = !is_program && !is_constant && of_head < head_size;
  always_ff @(posedge clk) begin
    if (reset) configuring <= 1'b0;
    else if (configure) configuring <= 1'b1;
    else if (configuring && config_beat == config_beats) configuring <= 1'b0;
    if (configure) config_beat <= '0;
    else if (config_valid) config_beat <= config_beat + 1'b1;
    if (config_valid && is_program)
      instructions[config_beat[PROGRAM_BITS-1:0]] <= beat[network_pkg::INSTRUCTION_BITS-1:0];
    if (config_valid && of_head == head_size && !is_program && !is_constant) begin
      scores_table <= beat[16*17-1:0];
      shifts <= beat[16*17+:CLASSES*8];
    end
    if (config_valid && of_head == head_size + 16'd1 && !is_program && !is_constant)
      biases <= beat[CLASSES*64-1:0];
  end

  // Sequencer and the ring of instructions under way.
  logic flush, begin_image, issue, halt, halt_done, any_live, layer_ended, head_runs, head_done;
  logic stores, stored, last_decision, finished;
  logic [PROGRAM_BITS-1:0] counter;
  logic [network_pkg::RING_BITS-1:0] issue_place;
  logic [15:0] issued, ended, fetch_index, load_index, source_index, word_index, pass_index;
  logic [7:0] timestep;
  logic [network_pkg::INSTRUCTION_BITS-1:0] ring[0:(1<<network_pkg::RING_BITS)-1];
  network_pkg::instruction_t fetch_instr, load_instr, word_instr, drain_instr, fetched;
  assign fetched = instructions[counter];
  assign fetch_instr = ring[fetch_index[network_pkg::RING_BITS-1:0]];
  assign load_instr = ring[load_index[network_pkg::RING_BITS-1:0]];
  assign word_instr = ring[source_index[network_pkg::RING_BITS-1:0]];
  assign drain_instr = ring[pass_index[network_pkg::RING_BITS-1:0]];
  always_ff @(posedge clk) if (issue) ring[issue_place] <= fetched;
  sequencer #(
      .PROGRAM_DEPTH(PROGRAM_DEPTH)
  ) sequence_of_layers (
      .clk,
      .reset,
      .start(run),
      .instructions(program_size),
      .timesteps,
      .layer_ended,
      .halt_done,
      .halt_ends_loop(word_instr.loop_end),
      .any_live,
      .port_idle,
      .head_done,
      .stored,
      .counter,
      .fetched,
      .issue,
      .issue_place,
      .issued,
      .ended,
      .timestep,
      .last_decision,
      .begin_image,
      .flush,
      .head_runs,
      .stores,
      .finished
  );
  assign image_finished = finished;
  assign engine_idle = !running && !configuring && !run && !configure;
  always_ff @(posedge clk) begin
    if (reset) running <= 1'b0;
    else if (run) running <= 1'b1;
    else if (finished) running <= 1'b0;
  end

  // DRAM port.
  logic slot_freed, buffer_write, buffer_filled;
  logic [BUFFER_BITS-1:0] buffer_write_address, buffer_address;
  dram_port #(
      .BEAT_BITS(BEAT_BITS),
      .WEIGHT_SLOTS(WEIGHT_SLOTS),
      .SLOT_WORDS(SLOT_WORDS)
  ) dram (
      .clk,
      .reset,
      .ask(run || configure),
      .ask_image(run),
      .ask_address(run ? image_address : config_address),
      .ask_beats(run ? 16'(image_beats) : config_beats),
      .idle(port_idle),
      .beat_valid,
      .beat_is_image,
      .beat,
      .weight_address(weight_base),
      .flush,
      .present(fetch_index != issued),
      .index(fetch_index),
      .instr(fetch_instr),
      .slot_freed,
      .write(buffer_write),
      .write_address(buffer_write_address),
      .filled(buffer_filled),
      .arvalid(m_arvalid),
      .arready(m_arready),
      .araddr(m_araddr),
      .arlen(m_arlen),
      .rvalid(m_rvalid),
      .rready(m_rready),
      .rdata(m_rdata),
      .rlast(m_rlast)
  );

  // Weight buffer and weight port.
  logic chunk_freed, weight_read, load, chunk_loaded;
  logic [1:0] load_from, load_source;
  logic [15:0] key_address, score_base;
  logic [7:0] score_keys;
  logic [LOAD_BITS-1:0] load_address;
  logic [BEAT_BITS-1:0] load_data, buffer_data, key_data, score_data;
  logic [15:0] live;
  weight_port #(
      .LOCAL_CHUNKS(LOCAL_CHUNKS),
      .SLOT_WORDS(SLOT_WORDS),
      .WEIGHT_SLOTS(WEIGHT_SLOTS),
      .BLOCK_ITEMS(BLOCK_ITEMS),
      .COLUMNS(COLUMNS),
      .PORT_INPUTS(PORT_INPUTS),
      .POSITION_TILES(POSITION_TILES)
  ) loader (
      .clk,
      .reset(reset || flush),
      .present(load_index != issued),
      .index(load_index),
      .instr(load_instr),
      .ended,
      .live,
      .filled(buffer_filled),
      .slot_freed,
      .freed(chunk_freed),
      .read(weight_read),
      .source(load_from),
      .buffer_address,
      .key_address,
      .score_base,
      .score_keys,
      .load,
      .load_source,
      .load_address,
      .loaded(chunk_loaded)
  );
  sram_1r1w #(
      .WIDTH(BEAT_BITS),
      .DEPTH(WEIGHT_SLOTS * SLOT_WORDS)
  ) weight_buffer (
      .clk,
      .write(buffer_write),
      .write_address(buffer_write_address),
      .write_data(m_rdata),
      .read(weight_read && load_from == network_pkg::FETCHED),
      .read_address(buffer_address),
      .read_data(buffer_data)
  );
  assign load_data = (load_source == network_pkg::KEYS) ? key_data
                   : (load_source == network_pkg::SCORES) ? score_data : buffer_data;

  // Token skip.
  logic scan, mask_read, list_ready, list_read, skip_busy, stalled, stream_valid;
  logic [15:0] mask_address, list_token, stream_token;
  logic [COUNT_BITS-1:0] list_position;
  logic [SCAN-1:0] mask;
  token_skip #(
      .SCAN (SCAN),
      .QUEUE(QUEUE)
  ) skip (
      .clk,
      .reset(reset || flush),
      .scan,
      .keep(1'b1),
      .tokens,
      .mask_base('0),
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

  // Words.
  logic word_valid, word_take, first_chunk, last_chunk, last, last_block, first_block, last_pass;
  logic read_map, read_tokens, read_values, read_packed;
  logic [1:0] read_plane;
  logic [9*MAP_BITS-1:0] map_address;
  logic [TOKEN_BITS-1:0] token_address;
  logic [15:0] column_address, token, word_first_row, word_rows, pixels_here;
  logic [9*WORD_INPUTS-1:0] map_data;
  logic [WORD_INPUTS-1:0] token_data, values_data, packed_data, word;
  logic [COLUMNS*WORD_INPUTS-1:0] values_row, packed_row;
  logic [ITEM_BITS-1:0] item;
  logic [PLANE_BITS-1:0] plane;
  logic [7:0] word_tile;
  logic [LANE_BITS-1:0] column_bank;
  word_feeder #(
      .COLUMNS(COLUMNS),
      .WORD_INPUTS(WORD_INPUTS),
      .BLOCK_ITEMS(BLOCK_ITEMS),
      .PLANE_BITS (PLANE_BITS),
      .COUNT_BITS (COUNT_BITS),
      .MAP_BITS   (MAP_BITS),
      .TOKEN_BITS (TOKEN_BITS)
  ) feeder (
      .clk,
      .reset(reset || flush),
      .present(source_index != issued),
      .index(source_index),
      .instr(word_instr),
      .ended,
      .pixels_here,
      .halt,
      .halt_done,
      .scan,
      .list_ready,
      .live,
      .list_read,
      .list_position,
      .list_token,
      .read_map,
      .read_tokens,
      .read_values,
      .read_packed,
      .read_plane,
      .map_address,
      .token_address,
      .column_address,
      .map_data,
      .token_data,
      .values_data,
      .packed_data,
      .valid(word_valid),
      .word,
      .item,
      .plane,
      .token,
      .word_index,
      .word_tile,
      .word_first_row,
      .first_chunk,
      .last_chunk,
      .last,
      .last_block,
      .first_block,
      .last_pass,
      .block_rows(word_rows),
      .take(word_take)
  );

  // Results, on their way to the memories.
  network_pkg::instruction_t result_instr;
  logic result, result_is_score, step_result, map_result;
  logic [15:0] result_index, result_token, result_row, result_channel;
  logic [7:0] result_tile, result_y, result_x, third_y, third_x;
  logic [COLUMNS-1:0] result_spikes;
  logic [STREAM_BITS*COLUMNS-1:0] result_planes;
  logic [COLUMNS*8-1:0] result_scores;
  logic [3:0] result_bank, image_bank, map_bank;
  logic [PART_BITS-1:0] result_part;
  logic [MAP_BITS-1:0] result_map_address, image_map_address;
  logic image_write;
  logic [4*COLUMNS-1:0] image_planes;
  logic [8:0] map_write;
  assign map_result = result && result_instr.target == network_pkg::TO_MAP;
  assign result_y = 8'(result_token >> network_pkg::line_shift(result_instr.result_width));
  assign result_x = 8'(result_token) & (result_instr.result_width - 8'd1);
  assign third_y = network_pkg::third(9'(result_y));
  assign third_x = network_pkg::third(9'(result_x));
  assign result_bank = 4'(result_y - 8'd3 * third_y) * 4'd3 + 4'(result_x - 8'd3 * third_x);
  assign result_map_address = MAP_BITS'(result_instr.result_base) + MAP_BITS'(
      (16'(third_y) * 16'(network_pkg::third(9'(result_instr.result_width) + 9'd2)) + 16'(third_x))
      * 16'(result_instr.result_entries)) + MAP_BITS'(result_tile >> PART_SHIFT);
  assign result_part = (PARTS > 1) ? PART_BITS'(result_tile) : '0;
  assign map_bank = map_result ? result_bank : image_bank;
  assign map_write = (map_result || image_write) ? 9'd1 << map_bank : '0;
  image_loader #(
      .BEAT_BITS(BEAT_BITS),
      .BEATS(IMAGE_BEATS),
      .PART(COLUMNS),
      .MAP_BITS(MAP_BITS)
  ) image (
      .clk,
      .reset(reset || run),
      .pixels(image_pixels),
      .width(image_width),
      .pixel_shift,
      .beat_valid(beat_valid && beat_is_image),
      .beat,
      .hold(map_result),
      .write(image_write),
      .bank(image_bank),
      .address(image_map_address),
      .planes(image_planes),
      .pixels_here
  );
  map_memory #(
      .WORD_INPUTS(WORD_INPUTS),
      .PART(COLUMNS),
      .DEPTH(MAP_DEPTH)
  ) maps (
      .clk,
      .write(map_write),
      .write_address(map_result ? result_map_address : image_map_address),
      .write_part(map_result ? result_part : '0),
      .write_data(map_result ? result_planes : image_planes),
      .read(read_map),
      .read_plane,
      .read_address(map_address),
      .read_data(map_data)
  );
  token_memory #(
      .WORD_INPUTS(WORD_INPUTS),
      .PART(COLUMNS),
      .DEPTH(TOKEN_DEPTH)
  ) rows_of_tokens (
      .clk,
      .write(result && result_instr.target == network_pkg::TO_TOKENS),
      .write_address(TOKEN_BITS'(result_instr.result_base)
          + TOKEN_BITS'(result_token * 16'(result_instr.result_entries)) + TOKEN_BITS'(result_tile >> PART_SHIFT)),
      .write_part(result_part),
      .write_data(result_planes),
      .read(read_tokens),
      .read_plane,
      .read_address(token_address),
      .read_data(token_data)
  );
  for (genvar part = 0; part < KEY_PARTS; part++) begin : keys
    bit_columns #(
        .LANES(COLUMNS),
        .WIDTH(COLUMNS),
        .DEPTH(KEY_DEPTH)
    ) tiles_of_keys (
        .clk,
        .write(result && result_instr.target == network_pkg::TO_KEYS
            && result_tile % 8'(KEY_PARTS) == 8'(part)),
        .write_address(KEY_BITS'(16'(result_tile / 8'(KEY_PARTS)) * 16'(POSITION_TILES)
            + (result_row >> LANE_BITS))),
        .write_bit(result_row[LANE_BITS-1:0]),
        .write_data(result_spikes),
        .read(weight_read && load_from == network_pkg::KEYS),
        .read_address(KEY_BITS'(key_address)),
        .read_data(key_data[part*COLUMNS*COLUMNS+:COLUMNS*COLUMNS])
    );
  end
  bit_columns #(
      .LANES(COLUMNS),
      .WIDTH(WORD_INPUTS),
      .DEPTH(VALUE_DEPTH)
  ) values (
      .clk,
      .write(result && result_instr.target == network_pkg::TO_VALUES),
      .write_address(VALUE_BITS'(result_tile)),
      .write_bit(($clog2(WORD_INPUTS))'(result_row)),
      .write_data(result_spikes),
      .read(read_values),
      .read_address(VALUE_BITS'(column_address >> LANE_BITS)),
      .read_data(values_row)
  );
  assign result_channel = result_instr.result_base + result_row;
  bit_columns #(
      .LANES(COLUMNS),
      .WIDTH(WORD_INPUTS),
      .DEPTH(VALUE_DEPTH)
  ) packed_rows (
      .clk,
      .write(result && result_instr.target == network_pkg::TO_PACKED),
      .write_address(VALUE_BITS'(16'(result_tile) * 16'(result_instr.result_entries)
          + (result_channel >> $clog2(WORD_INPUTS)))),
      .write_bit(($clog2(WORD_INPUTS))'(result_channel)),
      .write_data(result_spikes),
      .read(read_packed),
      .read_address(VALUE_BITS'(column_address >> LANE_BITS)),
      .read_data(packed_row)
  );
  always_ff @(posedge clk) column_bank <= column_address[LANE_BITS-1:0];
  assign values_data = values_row[32'(column_bank)*WORD_INPUTS+:WORD_INPUTS];
  assign packed_data = packed_row[32'(column_bank)*WORD_INPUTS+:WORD_INPUTS];
  score_memory #(
      .COLUMNS(COLUMNS),
      .BITS(WEIGHT_BITS),
      .PORT_INPUTS(PORT_INPUTS),
      .DEPTH(SCORE_DEPTH)
  ) scores (
      .clk,
      .write(result_is_score),
      .write_base(SCORE_BITS_OF_DEPTH'(result_instr.result_base
          + (result_row >> LANE_BITS) * 16'(POSITION_TILES * (COLUMNS / PORT_INPUTS)))),
      .write_query(result_row[LANE_BITS-1:0]),
      .write_tile(result_tile),
      .write_data(result_scores),
      .read(weight_read && load_from == network_pkg::SCORES),
      .read_base(SCORE_BITS_OF_DEPTH'(score_base)),
      .read_keys(score_keys),
      .read_data(score_data)
  );

  // Tiles: a tile starts when its weights are loaded and, if it is the first of a pass, a block of
  // partial sums is free. A pass is a column tile of a block of rows: all its chunks.
  network_pkg::instruction_t array_instr;
  logic [HELD_BITS-1:0] chunks_here;
  logic [OPEN_BITS-1:0] passes_open;
  logic [SLOT_BITS-1:0] slot, pass_slot;
  logic [BLOCK_BITS-1:0] block, next_block, kept_block;
  logic start, first_taken, word_ready, tile_done, block_freed, tile_ends_pass, tile_frees;
  logic needs_chunk, keeps_chunk, opens, array_busy, dropped, pushed, merged;
  logic [1:0] tile_delay, pass_delay, free_delay;
  logic [ROWS*LANES-1:0] adding;
  assign array_instr = ring[word_index[network_pkg::RING_BITS-1:0]];
  assign needs_chunk = !array_instr.keep_local || first_block;
  assign keeps_chunk = array_instr.keep_local && !last_block;
  assign start = (!needs_chunk || chunks_here != '0)
      && (!first_chunk || passes_open != OPEN_BITS'(SUM_BLOCKS));
  assign block = first_chunk ? next_block : kept_block;
  assign word_take = word_valid && word_ready;
  assign opens = first_taken && first_chunk;
  function automatic logic [SLOT_BITS-1:0] next_slot(input logic [SLOT_BITS-1:0] from);
    next_slot = (from == SLOT_BITS'(LOCAL_CHUNKS - 1)) ? '0 : from + 1'b1;
  endfunction
  always_ff @(posedge clk) begin
    if (reset || flush) begin
      chunks_here <= '0;
      passes_open <= '0;
      slot <= '0;
      pass_slot <= '0;
      next_block <= '0;
      tile_delay <= '0;
      pass_delay <= '0;
      free_delay <= '0;
    end else begin
      chunks_here <= chunks_here + HELD_BITS'(chunk_loaded) - HELD_BITS'(first_taken && needs_chunk);
      passes_open <= passes_open + OPEN_BITS'(opens) - OPEN_BITS'(block_freed);
      if (first_taken) begin
        // Chunks that stay are used again by the next block of rows, from the first one on.
        slot <= (keeps_chunk && last_chunk) ? (first_chunk ? slot : pass_slot) : next_slot(slot);
        if (first_chunk) pass_slot <= slot;
      end
      tile_delay <= {tile_delay[0], tile_done};
      pass_delay <= {pass_delay[0], tile_done && tile_ends_pass};
      free_delay <= {free_delay[0], tile_done && tile_frees};
    end
    if (opens) kept_block <= next_block;
    if (!(reset || flush) && opens)
      next_block <= (next_block == BLOCK_BITS'(SUM_BLOCKS - 1)) ? '0 : next_block + 1'b1;
    if (first_taken) begin
      tile_ends_pass <= last_chunk;
      tile_frees <= !keeps_chunk;
    end
  end
  assign chunk_freed = free_delay[1];

  logic drain, emptied;
  logic [BLOCK_BITS-1:0] drain_block, emptied_block, word_block;
  logic [ITEM_BITS-1:0] drain_item;
  logic [SUMS-1:0] drain_sums;
  logic [SUM_BLOCKS-1:0] pending;
  logic in_first_tile;
  // Within the first tile of a pass the block has been opened by its first word.
  always_ff @(posedge clk) begin
    if (reset || flush) in_first_tile <= 1'b0;
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
      .reset(reset || flush),
      .start,
      .word_valid,
      .word,
      .item,
      .plane,
      .last,
      .block(word_block),
      .slot,
      .one_bit(array_instr.weights == network_pkg::KEYS),
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

  // The token of each item, for whoever drains the block, and of each place of the list.
  logic [15:0] drain_token;
  logic [TOKENS*16-1:0] token_of;
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
  always_ff @(posedge clk) begin
    for (int each = 0; each < TOKENS; each++)
      if (word_take && array_instr.listed && OWNER_BITS'(item) == OWNER_BITS'(each)) token_of[each*16+:16] <= token;
  end

  // Passes on their way to the vector unit, and how many of them are whole.
  logic pass_empty, pass_full, pass_begun, pass_is_last;
  logic [7:0] pass_tile;
  logic [15:0] pass_rows, pass_first_row;
  logic [BLOCK_BITS-1:0] pass_block;
  logic [OPEN_BITS-1:0] passes_whole;
  fifo #(
      .WIDTH(16 + 8 + 16 + 16 + BLOCK_BITS + 1),
      .DEPTH(SUM_BLOCKS)
  ) passes (
      .clk,
      .reset(reset || flush),
      .push(opens),
      .push_data({word_index, word_tile, word_first_row, word_rows, next_block, last_pass}),
      .pop(pass_begun),
      .head({pass_index, pass_tile, pass_first_row, pass_rows, pass_block, pass_is_last}),
      .empty(pass_empty),
      .full(pass_full)
  );
  always_ff @(posedge clk) begin
    if (reset || flush) passes_whole <= '0;
    else passes_whole <= passes_whole + OPEN_BITS'(pass_delay[1]) - OPEN_BITS'(pass_begun);
  end

  // Vector unit and the vectors in memory.
  logic read_constants, read_membrane, write_membrane, read_stream, write_stream, vector_busy;
  logic [15:0] constant_address, membrane_address, membrane_write_address, stream_address;
  logic [15:0] stream_write_address, halt_stream_address;
  logic halt_reads;
  logic [BEAT_BITS-1:0] constants;
  logic [COLUMNS*MEMBRANE_BITS-1:0] membrane, new_membrane;
  logic [COLUMNS*STREAM_BITS-1:0] stream, new_stream;
  vector_engine #(
      .COLUMNS(COLUMNS),
      .SUM_BITS(SUM_BITS),
      .MEMBRANE_BITS(MEMBRANE_BITS),
      .STREAM_BITS(STREAM_BITS),
      .BLOCK_ITEMS(BLOCK_ITEMS),
      .BLOCK_BITS(BLOCK_BITS),
      .MAP_WIDTH(MAP_WIDTH),
      .TOKENS(TOKENS),
      .ATTENTION_CHANNELS(ATTENTION_CHANNELS)
  ) vectors (
      .clk,
      .reset(reset || flush),
      .timestep,
      .timesteps,
      .live,
      .token_of,
      .finished(!pass_empty && passes_whole != '0 && !pending[pass_block]),
      .instr(drain_instr),
      .index(pass_index),
      .block(pass_block),
      .tile(pass_tile),
      .last_pass(pass_is_last),
      .first_row(pass_first_row),
      .rows(pass_rows),
      .begun(pass_begun),
      .drain,
      .drain_block,
      .drain_item,
      .sums(drain_sums),
      .token(drain_token),
      .read_constants,
      .constant_address,
      .constants(constants[COLUMNS*(SUM_BITS+MEMBRANE_BITS)-1:0]),
      .read_membrane,
      .membrane_address,
      .membrane,
      .write_membrane,
      .write_address(membrane_write_address),
      .new_membrane,
      .read_stream,
      .stream_address,
      .stream,
      .write_stream,
      .stream_write_address,
      .result,
      .result_instr(result_instr),
      .result_index,
      .result_tile,
      .result_token,
      .result_row,
      .result_spikes,
      .result_planes,
      .result_is_score,
      .result_scores,
      .step_result,
      .busy(vector_busy),
      .emptied,
      .emptied_block,
      .block_freed,
      .layer_ended
  );
  for (genvar lane = 0; lane < COLUMNS; lane++) begin : values_of_planes
    for (genvar each = 0; each < STREAM_BITS; each++) begin : digits
      assign new_stream[lane*STREAM_BITS+each] = result_planes[each*COLUMNS+lane];
    end
  end
  sram_1r1w #(
      .WIDTH(BEAT_BITS),
      .DEPTH(CONSTANT_DEPTH)
  ) constant_memory (
      .clk,
      .write(config_valid && is_constant),
      .write_address(of_constants[CONSTANT_BITS-1:0]),
      .write_data(beat),
      .read(read_constants),
      .read_address(constant_address[CONSTANT_BITS-1:0]),
      .read_data(constants)
  );
  sram_1r1w #(
      .WIDTH(COLUMNS * MEMBRANE_BITS),
      .DEPTH(MEMBRANE_DEPTH)
  ) membranes (
      .clk,
      .write(write_membrane),
      .write_address(membrane_write_address[MEMBRANE_DEPTH_BITS-1:0]),
      .write_data(new_membrane),
      .read(read_membrane),
      .read_address(membrane_address[MEMBRANE_DEPTH_BITS-1:0]),
      .read_data(membrane)
  );
  sram_1r1w #(
      .WIDTH(COLUMNS * STREAM_BITS),
      .DEPTH(STREAM_DEPTH)
  ) streams (
      .clk,
      .write(write_stream),
      .write_address(stream_write_address[STREAM_DEPTH_BITS-1:0]),
      .write_data(new_stream),
      .read(read_stream || halt_reads),
      .read_address(STREAM_DEPTH_BITS'(halt_reads ? halt_stream_address : stream_address)),
      .read_data(stream)
  );

  // Halting and head.
  logic halt_busy, head_busy, head_read;
  logic [7:0] field_tile;
  logic [15:0] head_address;
  logic [COLUMNS*FIELD_BITS-1:0] field;
  logic [COLUMNS*8-1:0] head_weights;
  logic [CLASSES*64-1:0] logits;
  halting_unit #(
      .COLUMNS(COLUMNS),
      .STREAM_BITS(STREAM_BITS),
      .TOKENS(TOKENS),
      .TILES(TILES),
      .SCAN(SCAN),
      .FIELD_BITS(FIELD_BITS)
  ) halting (
      .clk,
      .begin_image,
      .tokens,
      .decides,
      .scores(scores_table),
      .limit,
      .mean_weight,
      .start(halt),
      .adds(word_instr.loop_end),
      .final_decision(last_decision),
      .instr(word_instr),
      .live,
      .token_of,
      .done(halt_done),
      .any_live,
      .busy(halt_busy),
      .read_stream(halt_reads),
      .stream_address(halt_stream_address),
      .stream,
      .mask_read,
      .mask_address,
      .mask,
      .active(seen_mask),
      .field_tile,
      .field
  );
  sram_1r1w #(
      .WIDTH(COLUMNS * 8),
      .DEPTH(HEAD_DEPTH)
  ) head_memory (
      .clk,
      .write(config_valid && is_head),
      .write_address(of_head[HEAD_BITS-1:0]),
      .write_data(beat[COLUMNS*8-1:0]),
      .read(head_read),
      .read_address(head_address[HEAD_BITS-1:0]),
      .read_data(head_weights)
  );
  head_unit #(
      .COLUMNS(COLUMNS),
      .FIELD_BITS(FIELD_BITS),
      .CLASSES(CLASSES)
  ) head (
      .clk,
      .start(head_runs),
      .classes,
      .tiles(head_tiles),
      .done(head_done),
      .busy(head_busy),
      .field_tile,
      .field,
      .read(head_read),
      .address(head_address),
      .weights(head_weights),
      .shifts,
      .biases,
      .logits
  );
  result_writer #(
      .BEAT_BITS(BEAT_BITS)
  ) writer (
      .clk,
      .start(stores),
      .stored,
      .address(result_address),
      .data(BEAT_BITS'(logits)),
      .awvalid(m_awvalid),
      .awready(m_awready),
      .awaddr(m_awaddr),
      .wvalid(m_wvalid),
      .wready(m_wready),
      .wdata(m_wdata),
      .wlast(m_wlast),
      .bvalid(m_bvalid),
      .bready(m_bready)
  );
  assign m_awlen = '0;

  // What never changes of AXI4, and whether an access was refused.
  localparam logic [2:0] BEAT_SIZE = 3'($clog2(BEAT_BITS / 8));
  localparam logic [1:0] INCREMENTING = 2'b01;
  assign {m_arid, m_arsize, m_arburst} = {1'b0, BEAT_SIZE, INCREMENTING};
  assign {m_awid, m_awsize, m_awburst} = {1'b0, BEAT_SIZE, INCREMENTING};
  assign m_wstrb = '1;
  assign {s_bresp, s_rresp} = '0;
  always_ff @(posedge clk) begin
    if (reset || run || configure) refused <= 1'b0;
    else if (m_rvalid && m_rready && m_rresp[1]) refused <= 1'b1;
    else if (m_bvalid && m_bready && m_bresp[1]) refused <= 1'b1;
  end

  // Counters of an image: cycles, then busy cycles and events by unit.
  logic [COUNTERS-1:0] happens;
  assign happens = {
    merged, pushed, dropped, result, head_busy, halt_busy, skip_busy, vector_busy, array_busy, weight_read, 1'b1
  };
  always_ff @(posedge clk) begin
    for (int each = 0; each < COUNTERS; each++) begin
      if (run) counters[each*32+:32] <= '0;
      else if (running && happens[each]) counters[each*32+:32] <= counters[each*32+:32] + 1'b1;
    end
  end

  assign seen_result = result;
  assign seen_step = step_result;
  assign seen_index = result_index;
  assign seen_tile = result_tile;
  assign seen_token = result_token;
  assign seen_row = result_row;
  assign seen_spikes = result_spikes;
  assign seen_planes = result_planes;
  assign seen_end = layer_ended;
  assign seen_decision = halt_done;
  assign seen_head = head_done;

  logic unused;
  assign unused = ^{stalled, stream_valid, stream_token, pass_full, array_instr, fetched, buffer_filled,
                    m_rid, m_bid, m_rresp[0], m_bresp[0], s_wstrb, adding, settings, constants, result_instr,
                    tile_delay, key_address, score_base,
                    constant_address, membrane_address, membrane_write_address, stream_write_address,
                    head_address, column_address};
`ifndef SYNTHESIS
  // A scan lists each live token, and the array sees each of them.
  logic was_ready;
  always_ff @(posedge clk) begin
    was_ready <= list_ready && !flush;
    if (!reset && !flush && list_ready && !was_ready && live != 16'($countones(seen_mask)))
      $fatal(1, "network_top: the list has %0d tokens, %0d live", live, $countones(seen_mask));
    if (!reset && !flush && opens && array_instr.listed && word_rows != live)
      $fatal(1, "network_top: %0d rows of %0d live tokens", word_rows, live);
    if (!reset && chunk_loaded && chunks_here == HELD_BITS'(LOCAL_CHUNKS))
      $fatal(1, "network_top: a chunk was loaded over another");
  end
`endif
endmodule
