// The spike-skip array: a dispatcher, ROWS rows that walk set bits, and the merge of their sums.
//
// A tile is a stream of words, one a cycle at most, the last one marked. The dispatcher drops a zero
// word and pushes any other into the FIFO of the next row, round robin from row 0, waiting while
// that FIFO is full. The tile ends when all rows are idle; the next tile may begin in that same
// cycle, if `start` says that its weights and its block of partial sums are there.
//
// Merge: one finished word a cycle, rows in turn, adds its sums, shifted by its plane, to the
// partial sums of its item. Planes of one item may be in different rows, so rows never hold partial
// sums themselves. An item that nothing was added to yet reads as zero.
module spike_skip_tile #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 32,
    parameter int LANES = 1,
    parameter int WORD_INPUTS = 128,
    parameter int FIFO_WORDS = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS = 16,
    parameter int LOCAL_CHUNKS = 2,
    parameter int PORT_INPUTS = 4,
    parameter int SUM_BLOCKS = 2,
    parameter int BLOCK_ITEMS = 256,
    parameter int PLANE_BITS = 3,
    parameter int ENCODE_STAGE = 0,
    parameter int SLOT_BITS = (LOCAL_CHUNKS > 1) ? $clog2(LOCAL_CHUNKS) : 1,
    parameter int LOAD_BITS = $clog2(LOCAL_CHUNKS * WORD_INPUTS / PORT_INPUTS),
    parameter int PORT_BITS = PORT_INPUTS * COLUMNS * WEIGHT_BITS,
    parameter int ITEM_BITS = (BLOCK_ITEMS > 1) ? $clog2(BLOCK_ITEMS) : 1,
    parameter int BLOCK_BITS = (SUM_BLOCKS > 1) ? $clog2(SUM_BLOCKS) : 1,
    parameter int SUMS = COLUMNS * SUM_BITS
) (
    input  logic                   clk,
    input  logic                   reset,
    // the stream of words; block, slot and one_bit are those of the word's tile
    input  logic                   start,
    input  logic                   word_valid,
    input  logic [WORD_INPUTS-1:0] word,
    input  logic [ITEM_BITS-1:0]   item,
    input  logic [PLANE_BITS-1:0]  plane,
    input  logic                   last,
    input  logic [BLOCK_BITS-1:0]  block,
    input  logic [SLOT_BITS-1:0]   slot,
    input  logic                   one_bit,
    output logic                   word_ready,
    output logic                   first_taken,
    // weights, into the copies of all rows
    input  logic                   load,
    input  logic [LOAD_BITS-1:0]   load_address,
    input  logic [PORT_BITS-1:0]   load_data,
    // partial sums: read by whoever drains a block, then emptied
    input  logic                   drain,
    input  logic [BLOCK_BITS-1:0]  drain_block,
    input  logic [ITEM_BITS-1:0]   drain_item,
    output logic [SUMS-1:0]        drain_sums,
    input  logic                   empty_block,
    input  logic [BLOCK_BITS-1:0]  emptied_block,
    output logic [SUM_BLOCKS-1:0]  pending,
    // state and activity of this cycle
    output logic                   busy,
    output logic                   done,
    output logic                   dropped,
    output logic                   pushed,
    output logic                   merged,
    output logic [ROWS*LANES-1:0]  adding
);
  localparam int TAG_BITS = BLOCK_BITS + ITEM_BITS + PLANE_BITS;
  localparam int ROW_BITS = (ROWS > 1) ? $clog2(ROWS) : 1;
  localparam int PENDING_BITS = $clog2(ROWS * (2 * FIFO_WORDS + 4 + 2 * ENCODE_STAGE) + 2);

  // Dispatcher.
  logic [ROWS-1:0] full, row_idle;
  logic [ROW_BITS-1:0] target;
  logic all_idle, in_tile, running, zero, may_take, taken;
  logic [SLOT_BITS-1:0] tile_slot;
  logic tile_one_bit;

  assign all_idle = &row_idle;
  assign zero = word == '0;
  assign may_take = in_tile || (all_idle && start);
  assign word_ready = may_take && (zero || !full[target]);
  assign taken = word_valid && word_ready;
  assign first_taken = taken && !in_tile;
  assign dropped = taken && zero;
  assign pushed = taken && !zero;
  assign done = running && !in_tile && all_idle;
  assign busy = first_taken || in_tile || !all_idle;

  always_ff @(posedge clk) begin
    if (first_taken) begin
      tile_slot <= slot;
      tile_one_bit <= one_bit;
    end
    if (reset) begin
      in_tile <= 1'b0;
      running <= 1'b0;
      target  <= '0;
    end else begin
      if (taken) in_tile <= !last;
      if (taken) running <= 1'b1;
      else if (done) running <= 1'b0;
      if (taken && last) target <= '0;
      else if (pushed) target <= (target == ROW_BITS'(ROWS - 1)) ? '0 : target + 1'b1;
    end
  end

  // Rows.
  logic [ROWS-1:0] result_valid, result_pop;
  logic [ROWS*TAG_BITS-1:0] result_tags;
  logic [ROWS*SUMS-1:0] result_sums;
  for (genvar row = 0; row < ROWS; row++) begin : rows
    pe_row #(
        .WORD_INPUTS(WORD_INPUTS),
        .COLUMNS(COLUMNS),
        .LANES(LANES),
        .FIFO_WORDS(FIFO_WORDS),
        .WEIGHT_BITS(WEIGHT_BITS),
        .SUM_BITS(SUM_BITS),
        .TAG_BITS(TAG_BITS),
        .LOCAL_CHUNKS(LOCAL_CHUNKS),
        .PORT_INPUTS(PORT_INPUTS),
        .ENCODE_STAGE(ENCODE_STAGE)
    ) pe (
        .clk,
        .reset,
        .push(pushed && target == ROW_BITS'(row)),
        .push_word(word),
        .push_tag({block, item, plane}),
        .full(full[row]),
        .slot(tile_slot),
        .one_bit(tile_one_bit),
        .load,
        .load_address,
        .load_data,
        .result_valid(result_valid[row]),
        .result_tag(result_tags[row*TAG_BITS+:TAG_BITS]),
        .result_sums(result_sums[row*SUMS+:SUMS]),
        .result_pop(result_pop[row]),
        .idle(row_idle[row]),
        .adding(adding[row*LANES+:LANES])
    );
  end

  logic [BLOCK_BITS-1:0] merged_block;
  merge #(
      .ROWS(ROWS),
      .COLUMNS(COLUMNS),
      .SUM_BITS(SUM_BITS),
      .SUM_BLOCKS(SUM_BLOCKS),
      .BLOCK_ITEMS(BLOCK_ITEMS),
      .PLANE_BITS(PLANE_BITS)
  ) merger (
      .clk,
      .reset,
      .result_valid,
      .result_tags,
      .result_sums,
      .result_pop,
      .drain,
      .drain_block,
      .drain_item,
      .drain_sums,
      .empty_block,
      .emptied_block,
      .merged,
      .merged_block
  );

  // Words under way to each block of partial sums.
  for (genvar each = 0; each < SUM_BLOCKS; each++) begin : waiting
    logic [PENDING_BITS-1:0] count;
    logic more, fewer;
    assign more = pushed && block == BLOCK_BITS'(each);
    assign fewer = merged && merged_block == BLOCK_BITS'(each);
    always_ff @(posedge clk) begin
      if (reset) count <= '0;
      else if (more && !fewer) count <= count + 1'b1;
      else if (fewer && !more) count <= count - 1'b1;
    end
    assign pending[each] = count != '0;
  end
endmodule
