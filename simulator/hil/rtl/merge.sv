// The partial sums and the one port through which finished words get there: in turn over the rows,
// one word a cycle. A word chosen in cycle m reads its item's sums in m and writes them in m + 1.
module merge #(
    parameter int ROWS = 8,
    parameter int COLUMNS = 32,
    parameter int SUM_BITS = 16,
    parameter int SUM_BLOCKS = 2,
    parameter int BLOCK_ITEMS = 256,
    parameter int PLANE_BITS = 3,
    parameter int ITEM_BITS = (BLOCK_ITEMS > 1) ? $clog2(BLOCK_ITEMS) : 1,
    parameter int BLOCK_BITS = (SUM_BLOCKS > 1) ? $clog2(SUM_BLOCKS) : 1,
    parameter int TAG_BITS = BLOCK_BITS + ITEM_BITS + PLANE_BITS,
    parameter int SUMS = COLUMNS * SUM_BITS
) (
    input  logic                     clk,
    input  logic                     reset,
    input  logic [ROWS-1:0]          result_valid,
    input  logic [ROWS*TAG_BITS-1:0] result_tags,
    input  logic [ROWS*SUMS-1:0]     result_sums,
    output logic [ROWS-1:0]          result_pop,
    input  logic                     drain,
    input  logic [BLOCK_BITS-1:0]    drain_block,
    input  logic [ITEM_BITS-1:0]     drain_item,
    output logic [SUMS-1:0]          drain_sums,
    input  logic                     empty_block,
    input  logic [BLOCK_BITS-1:0]    emptied_block,
    output logic                     merged,
    output logic [BLOCK_BITS-1:0]    merged_block
);
  // Whose turn: the first row with a result above the one served last, else the first of all.
  logic [ROWS-1:0] above_served, candidates;
  assign candidates = ((result_valid & above_served) != '0) ? result_valid & above_served : result_valid;
  assign result_pop = candidates & (~candidates + 1'b1);

  logic chosen;
  logic [TAG_BITS-1:0] tag;
  logic [SUMS-1:0] sums;
  assign chosen = result_valid != '0;
  always_comb begin
    tag  = '0;
    sums = '0;
    for (int row = 0; row < ROWS; row++) begin
      if (result_pop[row]) begin
        tag  = tag | result_tags[row*TAG_BITS+:TAG_BITS];
        sums = sums | result_sums[row*SUMS+:SUMS];
      end
    end
  end

  logic [BLOCK_BITS-1:0] block;
  logic [ITEM_BITS-1:0] item;
  logic [PLANE_BITS-1:0] plane;
  assign {block, item, plane} = tag;

  // Second cycle.
  logic [BLOCK_BITS-1:0] write_block;
  logic [ITEM_BITS-1:0] write_item;
  logic [PLANE_BITS-1:0] write_plane;
  logic [SUMS-1:0] write_sums, old_sums, new_sums, forwarded;
  logic writing, fresh, forward;
  logic [SUM_BLOCKS*BLOCK_ITEMS-1:0] touched;
  logic [SUM_BLOCKS*SUMS-1:0] read_sums;

  assign merged = writing;
  assign merged_block = write_block;
  always_ff @(posedge clk) begin
    if (reset) begin
      above_served <= '0;
      writing <= 1'b0;
      touched <= '0;
    end else begin
      if (chosen) above_served <= ~(result_pop | (result_pop - 1'b1));
      writing <= chosen;
      // Block by block: an index into all of them would be synthesized as a shifter of all their bits.
      for (int each = 0; each < SUM_BLOCKS; each++)
        touched[each*BLOCK_ITEMS+:BLOCK_ITEMS] <=
            ((empty_block && emptied_block == BLOCK_BITS'(each)) ? '0 : touched[each*BLOCK_ITEMS+:BLOCK_ITEMS])
            | ((chosen && block == BLOCK_BITS'(each)) ? BLOCK_ITEMS'(1) << item : '0);
    end
    write_block <= block;
    write_item <= item;
    write_plane <= plane;
    write_sums <= sums;
    fresh <= !touched[32'(block)*BLOCK_ITEMS+32'(item)];
    // The sums that are just being written are not in the memory yet.
    forward <= writing && write_block == block && write_item == item;
    forwarded <= new_sums;
  end

  assign old_sums = fresh ? '0 : forward ? forwarded : read_sums[32'(write_block)*SUMS+:SUMS];
  for (genvar column = 0; column < COLUMNS; column++) begin : add
    assign new_sums[column*SUM_BITS+:SUM_BITS] =
        old_sums[column*SUM_BITS+:SUM_BITS] + (write_sums[column*SUM_BITS+:SUM_BITS] << write_plane);
  end

  // Each block is a memory of its own: one is drained while the other is added to.
  logic [BLOCK_BITS-1:0] drained_block;
  logic drained_fresh;
  always_ff @(posedge clk) begin
    drained_block <= drain_block;
    drained_fresh <= !touched[32'(drain_block)*BLOCK_ITEMS+32'(drain_item)];
  end
  for (genvar each = 0; each < SUM_BLOCKS; each++) begin : sum_block
    logic draining;
    assign draining = drain && drain_block == BLOCK_BITS'(each);
    sram_1r1w #(
        .WIDTH(SUMS),
        .DEPTH(BLOCK_ITEMS)
    ) partial_sums (
        .clk,
        .write(writing && write_block == BLOCK_BITS'(each)),
        .write_address(write_item),
        .write_data(new_sums),
        .read(draining || (chosen && block == BLOCK_BITS'(each))),
        .read_address(draining ? drain_item : item),
        .read_data(read_sums[each*SUMS+:SUMS])
    );
  end
  assign drain_sums = drained_fresh ? '0 : read_sums[32'(drained_block)*SUMS+:SUMS];
endmodule
