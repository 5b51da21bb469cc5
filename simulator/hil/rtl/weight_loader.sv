// The weight port: it reads the chunks of all layers' weights in the order in which the array uses
// them, a word a cycle, as far ahead as the array has places for chunks. A chunk whose last word is
// asked for in cycle c can be used from c + 2 on; the next chunk's first word is asked for in c + 1.
module weight_loader #(
    parameter int LAYER_BITS = 8,
    parameter int LOCAL_CHUNKS = 2,
    parameter int SLOT_WORDS = 32,
    parameter int SLOT_BITS = (LOCAL_CHUNKS > 1) ? $clog2(LOCAL_CHUNKS) : 1,
    parameter int LOAD_BITS = $clog2(LOCAL_CHUNKS * SLOT_WORDS)
) (
    input  logic                  clk,
    input  logic                  reset,
    input  logic [LAYER_BITS-1:0] layers,
    output logic [LAYER_BITS-1:0] layer,
    input  layer_pkg::instruction_t instr,
    input  logic [LAYER_BITS-1:0] ended,
    input  logic                  freed,        // the place of a chunk
    output logic                  read,
    output logic [23:0]           address,
    output logic                  load,         // the word asked for a cycle ago goes to the array
    output logic [LOAD_BITS-1:0]  load_address,
    output logic                  loaded        // a chunk is whole, from the next cycle on
);
  localparam int USED_BITS = $clog2(LOCAL_CHUNKS + 1);

  logic [7:0] tile, chunk;
  logic [15:0] word, words;
  logic [23:0] next_address;
  logic [SLOT_BITS-1:0] slot;
  logic [USED_BITS-1:0] used;
  logic may_begin, first, last_word, last_chunk, last_tile;

  assign last_chunk = chunk + 8'd1 == instr.chunks;
  assign last_tile = tile + 8'd1 == instr.tiles;
  assign words = last_chunk ? instr.last_words : instr.chunk_words;
  assign first = word == '0;
  assign last_word = word + 16'd1 == words;
  assign may_begin = used != USED_BITS'(LOCAL_CHUNKS)
      && (!instr.weights_wait || instr.wait_for <= 16'(ended));
  assign read = layer != layers && (!first || may_begin);
  assign address = (first && tile == '0 && chunk == '0) ? instr.weight_base : next_address;

  always_ff @(posedge clk) begin
    load <= read && !reset;
    loaded <= read && last_word && !reset;
    load_address <= LOAD_BITS'(32'(slot) * SLOT_WORDS) + LOAD_BITS'(word);
    if (reset) begin
      layer <= '0;
      tile <= '0;
      chunk <= '0;
      word <= '0;
      slot <= '0;
      used <= '0;
    end else begin
      used <= used + USED_BITS'(read && first) - USED_BITS'(freed);
      if (read) begin
        word <= last_word ? '0 : word + 1'b1;
        if (last_word) begin
          slot <= (slot == SLOT_BITS'(LOCAL_CHUNKS - 1)) ? '0 : slot + 1'b1;
          chunk <= last_chunk ? '0 : chunk + 1'b1;
          if (last_chunk) tile <= last_tile ? '0 : tile + 1'b1;
          if (last_chunk && last_tile) layer <= layer + 1'b1;
        end
      end
    end
    if (read) next_address <= address + 1'b1;
  end

  logic unused;
  assign unused = ^instr;
endmodule
