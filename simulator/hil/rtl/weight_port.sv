// The weight port: it moves the chunks of all layers' weights into the array's own places, a word a
// cycle, in the order in which the array uses them and as far ahead as it has places. Weights come from
// the weight buffer, keys and scores from their transposing memories. Chunks of a column tile stay in
// the buffer for all its row blocks; those that fit the array stay there (`keep_local`).
// A chunk whose last word is asked for in cycle c can be used from c + 2 on.
module weight_port #(
    parameter int LOCAL_CHUNKS = 2,
    parameter int SLOT_WORDS = 32,
    parameter int WEIGHT_SLOTS = 64,
    parameter int BLOCK_ITEMS = 256,
    parameter int COLUMNS = 32,
    parameter int PORT_INPUTS = 4,
    parameter int POSITION_TILES = 2,
    parameter int WORD_BITS = $clog2(SLOT_WORDS),
    parameter int BUFFER_BITS = $clog2(WEIGHT_SLOTS),
    parameter int SLOT_BITS = (LOCAL_CHUNKS > 1) ? $clog2(LOCAL_CHUNKS) : 1,
    parameter int LOAD_BITS = $clog2(LOCAL_CHUNKS * SLOT_WORDS)
) (
    input  logic                             clk,
    input  logic                             reset,
    input  logic                             present,
    output logic [15:0]                      index,
    input  network_pkg::instruction_t        instr,
    input  logic [15:0]                      ended,
    input  logic [15:0]                      live,
    input  logic                             filled,        // a chunk has come into the buffer
    output logic                             slot_freed,
    input  logic                             freed,         // a place in the array
    output logic                             read,
    output logic [1:0]                       source,
    output logic [BUFFER_BITS+WORD_BITS-1:0] buffer_address,
    output logic [15:0]                      key_address,
    output logic [15:0]                      score_base,
    output logic [7:0]                       score_keys,
    output logic                             load,          // the word asked for a cycle ago
    output logic [1:0]                       load_source,
    output logic [LOAD_BITS-1:0]             load_address,
    output logic                             loaded         // a chunk is whole, from the next cycle on
);
  localparam int USED_BITS = $clog2(LOCAL_CHUNKS + 1);
  localparam int HERE_BITS = $clog2(WEIGHT_SLOTS + 1);

  logic [7:0] tile, chunk, tiles, word, words;
  logic [15:0] block, blocks;
  logic [SLOT_BITS-1:0] slot;
  logic [USED_BITS-1:0] used;
  logic [HERE_BITS-1:0] here;
  logic [BUFFER_BITS-1:0] first_slot;
  logic waits_over, may_begin, first, last_word, last_chunk, last_block, last_tile, fetched;
  logic [7:0] offset;
  assign fetched = instr.weights == network_pkg::FETCHED;
  assign waits_over = !instr.weights_wait || ended + 16'(instr.back) > index;
  assign tiles = fetched ? instr.tiles : 8'((live + 16'(COLUMNS - 1)) / 16'(COLUMNS));
  assign blocks = (instr.keep_local || instr.listed || !fetched)
      ? 16'd1 : (instr.rows + 16'(BLOCK_ITEMS - 1)) / 16'(BLOCK_ITEMS);
  assign last_chunk = chunk + 8'd1 == instr.chunks;
  assign last_block = block + 16'd1 == blocks;
  assign last_tile = tile + 8'd1 == tiles;
  assign words = (instr.weights == network_pkg::SCORES) ? 8'((live + 16'(PORT_INPUTS - 1)) / 16'(PORT_INPUTS))
               : last_chunk ? instr.last_words : instr.chunk_words;
  assign first = word == '0;
  assign last_word = word + 8'd1 == words;
  assign offset = last_block ? '0 : chunk;
  assign may_begin = used != USED_BITS'(LOCAL_CHUNKS) && waits_over
      && (!fetched || here > HERE_BITS'(offset));
  assign read = present && !instr.halting && (!first || may_begin);
  assign source = instr.weights;
  assign slot_freed = read && last_word && fetched && last_block;
  assign buffer_address = {first_slot + BUFFER_BITS'(offset), WORD_BITS'(word)};
  assign key_address = instr.weight_base + 16'(word * 8'(POSITION_TILES)) + 16'(tile);
  assign score_base = instr.weight_base
      + 16'(tile * 8'(POSITION_TILES * (COLUMNS / PORT_INPUTS)));
  assign score_keys = word;

  always_ff @(posedge clk) begin
    load <= read && !reset;
    loaded <= read && last_word && !reset;
    load_source <= source;
    load_address <= LOAD_BITS'(32'(slot) * SLOT_WORDS) + LOAD_BITS'(word);
    if (reset) begin
      index <= '0;
      tile <= '0;
      block <= '0;
      chunk <= '0;
      word <= '0;
      slot <= '0;
      used <= '0;
      here <= '0;
      first_slot <= '0;
    end else begin
      used <= used + USED_BITS'(read && first) - USED_BITS'(freed);
      here <= here + HERE_BITS'(filled) - HERE_BITS'(slot_freed);
      if (slot_freed) first_slot <= first_slot + 1'b1;
      if (present && instr.halting) index <= index + 1'b1;
      if (read) begin
        word <= last_word ? '0 : word + 1'b1;
        if (last_word) begin
          slot <= (slot == SLOT_BITS'(LOCAL_CHUNKS - 1)) ? '0 : slot + 1'b1;
          chunk <= last_chunk ? '0 : chunk + 1'b1;
          if (last_chunk) block <= last_block ? '0 : block + 1'b1;
          if (last_chunk && last_block) tile <= last_tile ? '0 : tile + 1'b1;
          if (last_chunk && last_block && last_tile) index <= index + 1'b1;
        end
      end
    end
  end
  logic unused;
  assign unused = ^{instr, offset};
endmodule
