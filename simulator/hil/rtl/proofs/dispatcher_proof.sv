// Proves of the array, at a small size: the dispatcher takes each word once, drops it if it is zero and
// else gives it to a row; no queue overflows (fifo.sv), the rows' result queues neither, whatever the
// words; and `pending` is set until the last pushed word has been merged. A word of four inputs keeps
// its row for longer than the other row needs for its next one, so that queues do fill.
module dispatcher_proof (
    input logic       clk,
    input logic       start,
    input logic       word_valid,
    input logic [3:0] word,
    input logic       last,
    input logic       load
);
  logic reset = 1'b1;
  logic word_ready, first_taken, busy, done, dropped, pushed, merged, pending;
  logic [1:0] adding;
  logic [3:0] sums;
  logic [4:0] under_way;
  spike_skip_tile #(
      .ROWS(2), .COLUMNS(1), .LANES(1), .WORD_INPUTS(4), .FIFO_WORDS(1), .WEIGHT_BITS(2), .SUM_BITS(4),
      .LOCAL_CHUNKS(2), .PORT_INPUTS(2), .SUM_BLOCKS(1), .BLOCK_ITEMS(2), .PLANE_BITS(1)
  ) array (
      .clk, .reset, .start, .word_valid, .word, .item('0), .plane('0), .last, .block('0), .slot('0),
      .one_bit(1'b0), .word_ready, .first_taken, .load, .load_address('0), .load_data('0),
      .drain(1'b0), .drain_block('0), .drain_item('0), .drain_sums(sums), .empty_block(1'b0),
      .emptied_block('0), .pending, .busy, .done, .dropped, .pushed, .merged, .adding
  );
  always_ff @(posedge clk) begin
    reset <= 1'b0;
    if (reset) under_way <= '0;
    else under_way <= under_way + 5'(pushed) - 5'(merged);
  end
  always_comb begin
    if (!reset) begin
      assert ((pushed || dropped) == (word_valid && word_ready));
      assert (!(pushed && dropped));
      if (pushed) assert (word != '0);
      if (dropped) assert (word == '0);
      assert (pending == (under_way != '0));
      if (merged) assert (under_way != '0);
    end
  end
endmodule
