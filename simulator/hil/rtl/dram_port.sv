// The read side of the DRAM port, an AXI4 master: configuration and image as one block each, weights a
// chunk a burst, in the order in which the layers use them, as far ahead as the weight buffer (a ring of
// WEIGHT_SLOTS chunks) has room. Several bursts are under way; their data come in order.
//
// `flush` drops what has been asked for and begins again behind the instructions that follow.
module dram_port #(
    parameter int BEAT_BITS = 1024,
    parameter int WEIGHT_SLOTS = 64,
    parameter int SLOT_WORDS = 32,
    parameter int OUTSTANDING = 8,
    parameter int ADDRESS_BITS = 32,
    parameter int SLOT_BITS = $clog2(WEIGHT_SLOTS),
    parameter int WORD_BITS = $clog2(SLOT_WORDS)
) (
    input  logic                         clk,
    input  logic                         reset,
    // blocks
    input  logic                         ask,          // for a block, for one cycle, while idle
    input  logic                         ask_image,    // it is the image, else the configuration
    input  logic [ADDRESS_BITS-1:0]      ask_address,
    input  logic [15:0]                  ask_beats,
    output logic                         idle,         // nothing is under way
    output logic                         beat_valid,
    output logic                         beat_is_image,
    output logic [BEAT_BITS-1:0]         beat,
    // weights
    input  logic [ADDRESS_BITS-1:0]      weight_address,
    input  logic                         flush,
    input  logic                         present,
    output logic [15:0]                  index,
    input  network_pkg::instruction_t    instr,
    input  logic                         slot_freed,
    output logic                         write,
    output logic [SLOT_BITS+WORD_BITS-1:0] write_address,
    output logic                         filled,       // a chunk has come
    // AXI4, read channels
    output logic                         arvalid,
    input  logic                         arready,
    output logic [ADDRESS_BITS-1:0]      araddr,
    output logic [7:0]                   arlen,
    input  logic                         rvalid,
    output logic                         rready,
    input  logic [BEAT_BITS-1:0]         rdata,
    input  logic                         rlast
);
  localparam int COUNT_BITS = $clog2(OUTSTANDING + 1);
  localparam int HELD_BITS = $clog2(WEIGHT_SLOTS + 1);
  localparam int BEAT_BYTES = BEAT_BITS / 8;
  localparam logic [15:0] BURST = 16'(SLOT_WORDS);

  // A block, burst by burst.
  logic [ADDRESS_BITS-1:0] next_address;
  logic [15:0] beats_left;
  logic block_is_image, in_block, takes, ends;
  assign in_block = beats_left != '0;

  // Weights, chunk by chunk.
  logic [7:0] tile, chunk;
  logic [15:0] number;
  logic [HELD_BITS-1:0] held;
  logic last_chunk, last_tile, wants;
  logic [7:0] words;
  assign last_chunk = chunk + 8'd1 == instr.chunks;
  assign last_tile = tile + 8'd1 == instr.tiles;
  assign words = last_chunk ? instr.last_words : instr.chunk_words;
  assign wants = present && !instr.halting && instr.weights == network_pkg::FETCHED && !in_block
      && held != HELD_BITS'(WEIGHT_SLOTS) && !flush;

  // Bursts under way, those whose address waits for its handshake included: 1 for weights.
  logic [COUNT_BITS-1:0] outstanding;
  logic kind_is_weights, no_kind, all_kinds;
  assign takes = (wants || in_block) && (!arvalid || arready) && outstanding != COUNT_BITS'(OUTSTANDING);
  logic [ADDRESS_BITS-1:0] address;
  logic [7:0] beats_less_one;
  assign address = in_block ? next_address : weight_address
      + ADDRESS_BITS'((32'(instr.weight_base) + 32'(number)) * 32'(SLOT_WORDS * BEAT_BYTES));
  assign beats_less_one = in_block ? 8'(((beats_left > BURST) ? BURST : beats_left) - 16'd1)
                                   : words - 8'd1;
  always_ff @(posedge clk) begin
    if (reset) arvalid <= 1'b0;
    else if (takes) arvalid <= 1'b1;
    else if (arready) arvalid <= 1'b0;
    if (takes) begin
      araddr <= address;
      arlen <= beats_less_one;
    end
  end
  assign ends = rvalid && rlast;
  assign rready = 1'b1;
  assign idle = outstanding == '0 && !in_block;
  fifo #(
      .WIDTH(1),
      .DEPTH(OUTSTANDING)
  ) kinds (
      .clk,
      .reset,
      .push(takes),
      .push_data(!in_block),
      .pop(ends),
      .head(kind_is_weights),
      .empty(no_kind),
      .full(all_kinds)
  );

  logic [SLOT_BITS-1:0] slot;
  logic [WORD_BITS-1:0] word;
  assign beat_valid = rvalid && !kind_is_weights;
  assign beat_is_image = block_is_image;
  assign beat = rdata;
  assign write = rvalid && kind_is_weights && !flush;
  assign write_address = {slot, word};
  assign filled = write && rlast;

`ifndef SYNTHESIS
  logic waiting;
  logic [ADDRESS_BITS-1:0] waiting_address;
  logic [7:0] waiting_length;
`endif
  always_ff @(posedge clk) begin
    if (reset) begin
      beats_left <= '0;
      outstanding <= '0;
    end else begin
      outstanding <= outstanding + COUNT_BITS'(takes) - COUNT_BITS'(ends);
      if (ask) beats_left <= ask_beats;
      else if (in_block && takes) beats_left <= beats_left - 16'(beats_less_one) - 16'd1;
    end
    if (ask) begin
      next_address <= ask_address;
      block_is_image <= ask_image;
    end else if (in_block && takes) begin
      next_address <= next_address + ADDRESS_BITS'((32'(beats_less_one) + 32'd1) * 32'(BEAT_BYTES));
    end
    if (reset || flush) begin
      index <= '0;
      tile <= '0;
      chunk <= '0;
      number <= '0;
      held <= '0;
      slot <= '0;
      word <= '0;
    end else begin
      held <= held + HELD_BITS'(takes && !in_block) - HELD_BITS'(slot_freed);
      if (present && (instr.halting || instr.weights != network_pkg::FETCHED)) index <= index + 1'b1;
      if (takes && !in_block) begin
        number <= (last_chunk && last_tile) ? '0 : number + 1'b1;
        chunk <= last_chunk ? '0 : chunk + 1'b1;
        if (last_chunk) tile <= last_tile ? '0 : tile + 1'b1;
        if (last_chunk && last_tile) index <= index + 1'b1;
      end
      if (write) word <= rlast ? '0 : word + 1'b1;
      if (filled) slot <= slot + 1'b1;
    end
`ifndef SYNTHESIS
    if (!reset && rvalid && no_kind) $fatal(1, "dram_port: data that nothing was asked for");
    if (!reset && takes && ((address & 32'hfff) + (32'(beats_less_one) + 32'd1) * 32'(BEAT_BYTES) > 32'h1000))
      $fatal(1, "dram_port: a burst over a boundary of 4 KiB");
    if (!reset && waiting && (!arvalid || araddr != waiting_address || arlen != waiting_length))
      $fatal(1, "dram_port: a request changed before it was taken");
    waiting <= arvalid && !arready && !reset;
    waiting_address <= araddr;
    waiting_length <= arlen;
    if (!reset && slot_freed && held == '0) $fatal(1, "dram_port: freed a slot that is not held");
`endif
  end
  logic unused;
  assign unused = all_kinds ^ (^instr);
endmodule
