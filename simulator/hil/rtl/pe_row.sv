// One row of the array: it pops a word, walks its set bits, LANES a cycle, and adds the weights of
// those inputs to COLUMNS accumulators. A word's sums go to a queue, from which they are merged
// into the partial sums. A bit picked in cycle c is added in c + 1; after a word's last bit its
// sums stand in the queue in c + 2.
//
// The row has its own copies of the weights, one a lane. A weight vector holds the weights of one
// input for all columns; with `one_bit` it holds those of WEIGHT_BITS inputs, a bit each (keys).
module pe_row #(
    parameter int WORD_INPUTS = 128,
    parameter int COLUMNS = 32,
    parameter int LANES = 1,
    parameter int FIFO_WORDS = 4,
    parameter int WEIGHT_BITS = 8,
    parameter int SUM_BITS = 16,
    parameter int TAG_BITS = 8,
    parameter int LOCAL_CHUNKS = 2,
    parameter int PORT_INPUTS = 4,
    parameter int ENCODE_STAGE = 0,
    parameter int SLOT_BITS = (LOCAL_CHUNKS > 1) ? $clog2(LOCAL_CHUNKS) : 1,
    parameter int PORT_WORDS = WORD_INPUTS / PORT_INPUTS,
    parameter int LOAD_BITS = $clog2(LOCAL_CHUNKS * PORT_WORDS),
    parameter int VECTOR = COLUMNS * WEIGHT_BITS
) (
    input  logic                             clk,
    input  logic                             reset,
    input  logic                             push,
    input  logic [WORD_INPUTS-1:0]           push_word,
    input  logic [TAG_BITS-1:0]              push_tag,
    output logic                             full,
    input  logic [SLOT_BITS-1:0]             slot,
    input  logic                             one_bit,
    input  logic                             load,
    input  logic [LOAD_BITS-1:0]             load_address,
    input  logic [PORT_INPUTS*VECTOR-1:0]    load_data,
    output logic                             result_valid,
    output logic [TAG_BITS-1:0]              result_tag,
    output logic [COLUMNS*SUM_BITS-1:0]      result_sums,
    input  logic                             result_pop,
    output logic                             idle,
    output logic [LANES-1:0]                 adding
);
  localparam int INPUT_BITS = $clog2(WORD_INPUTS);
  localparam int PORT_SHIFT = $clog2(PORT_INPUTS);
  localparam int BIT_SHIFT = $clog2(WEIGHT_BITS);
  // However the rows' words end, one merge a cycle in turn never lets more results wait: a row holds
  // at most FIFO_WORDS + 1 words (and one in its stage) when its queue is empty, and then gets and gives one every ROWS cycles.
  localparam int RESULT_WORDS = FIFO_WORDS + 2 + ENCODE_STAGE;

  // The word in hand: what is left of the one being walked, else the next one.
  logic [WORD_INPUTS-1:0] remaining, next_word, current;
  logic [TAG_BITS-1:0] tag, next_tag, current_tag;
  logic between_words, no_word, pop;

  fifo #(
      .WIDTH(WORD_INPUTS + TAG_BITS),
      .DEPTH(FIFO_WORDS)
  ) words (
      .clk,
      .reset,
      .push,
      .push_data({push_tag, push_word}),
      .pop,
      .head({next_tag, next_word}),
      .empty(no_word),
      .full
  );

  assign between_words = remaining == '0;
  assign pop = between_words && !no_word;
  assign current = between_words ? (no_word ? '0 : next_word) : remaining;
  assign current_tag = between_words ? next_tag : tag;
  assign idle = between_words && no_word;

  // The places whose number has a digit set.
  function automatic logic [WORD_INPUTS-1:0] with_digit(input int digit);
    for (int position = 0; position < WORD_INPUTS; position++) begin
      with_digit[position] = ((position >> digit) & 1) == 1;
    end
  endfunction

  // Pick the lowest set bits, one a lane.
  logic [(LANES+1)*WORD_INPUTS-1:0] rest;
  logic [LANES*WORD_INPUTS-1:0] lowest;
  assign rest[WORD_INPUTS-1:0] = current;
  for (genvar lane = 0; lane < LANES; lane++) begin : pick
    logic [WORD_INPUTS-1:0] bits;
    assign bits = rest[lane*WORD_INPUTS+:WORD_INPUTS];
    assign lowest[lane*WORD_INPUTS+:WORD_INPUTS] = bits & (~bits + 1'b1);
    assign rest[(lane+1)*WORD_INPUTS+:WORD_INPUTS] = bits & ~lowest[lane*WORD_INPUTS+:WORD_INPUTS];
    assign adding[lane] = bits != '0;
  end

  logic last_bits;
  assign last_bits = rest[LANES*WORD_INPUTS+:WORD_INPUTS] == '0;

  always_ff @(posedge clk) begin
    if (reset) remaining <= '0;
    else remaining <= rest[LANES*WORD_INPUTS+:WORD_INPUTS];
    tag <= current_tag;
  end

  // What was picked: now, or in the cycle before.
  localparam int PICKED_BITS = LANES * WORD_INPUTS + LANES + 1 + 1 + SLOT_BITS + 1 + TAG_BITS;
  logic [LANES*WORD_INPUTS-1:0] picked;
  logic [LANES-1:0] picks;
  logic picked_first, picked_last, picked_one_bit;
  logic [SLOT_BITS-1:0] picked_slot;
  logic [TAG_BITS-1:0] picked_tag;
  logic [PICKED_BITS-1:0] pick_now, pick_taken;
  assign pick_now = {lowest, adding, pop, adding[0] && last_bits, slot, one_bit, current_tag};
  assign {picked, picks, picked_first, picked_last, picked_slot, picked_one_bit, picked_tag} = pick_taken;
  if (ENCODE_STAGE == 0) begin : g_picked_now
    assign pick_taken = pick_now;
  end else begin : g_picked_before
    always_ff @(posedge clk) pick_taken <= reset ? '0 : pick_now;
  end
  logic [LANES*INPUT_BITS-1:0] place;
  for (genvar lane = 0; lane < LANES; lane++) begin : places
    for (genvar digit = 0; digit < INPUT_BITS; digit++) begin : encode
      localparam logic [WORD_INPUTS-1:0] WITH_DIGIT = with_digit(digit);
      assign place[lane*INPUT_BITS+digit] = (picked[lane*WORD_INPUTS+:WORD_INPUTS] & WITH_DIGIT) != '0;
    end
  end

  // The weights of the picked inputs, a cycle later.
  logic [LANES*VECTOR-1:0] weights;
  logic [LANES-1:0] added;
  logic first_added, last_added, unary;
  logic [TAG_BITS-1:0] added_tag;
  for (genvar lane = 0; lane < LANES; lane++) begin : copy
    logic [INPUT_BITS-1:0] input_number, vector_number;
    logic [INPUT_BITS-1:0] input_before, vector_before;
    logic [PORT_INPUTS*VECTOR-1:0] group;
    logic [VECTOR-1:0] vector, spread;
    assign input_number = place[lane*INPUT_BITS+:INPUT_BITS];
    assign vector_number = picked_one_bit ? (input_number >> BIT_SHIFT) : input_number;
    sram_1r1w #(
        .WIDTH(PORT_INPUTS * VECTOR),
        .DEPTH(LOCAL_CHUNKS * PORT_WORDS)
    ) weight_copy (
        .clk,
        .write(load),
        .write_address(load_address),
        .write_data(load_data),
        .read(picks[lane]),
        .read_address(LOAD_BITS'(picked_slot) * LOAD_BITS'(PORT_WORDS) + LOAD_BITS'(vector_number >> PORT_SHIFT)),
        .read_data(group)
    );
    always_ff @(posedge clk) begin
      input_before  <= input_number;
      vector_before <= vector_number;
    end
    if (PORT_INPUTS == 1) begin : g_whole
      assign vector = group;
    end else begin : g_part
      assign vector = group[vector_before[PORT_SHIFT-1:0]*VECTOR+:VECTOR];
    end
    logic [COLUMNS-1:0] bits_of_input;
    assign bits_of_input = vector[32'(input_before[BIT_SHIFT-1:0])*COLUMNS+:COLUMNS];
    always_comb begin
      spread = vector;
      if (unary) begin
        spread = '0;
        for (int column = 0; column < COLUMNS; column++)
          spread[column*WEIGHT_BITS] = bits_of_input[column];
      end
    end
    assign weights[lane*VECTOR+:VECTOR] = spread;
    logic unused;
    assign unused = ^{input_before, vector_before};
  end

  always_ff @(posedge clk) begin
    added <= reset ? '0 : picks;
    first_added <= picked_first;
    last_added <= picked_last && !reset;
    unary <= picked_one_bit;
    added_tag <= picked_tag;
  end

  // Accumulators; they wrap, so the order of additions does not matter.
  logic [COLUMNS*SUM_BITS-1:0] sums, next_sums;
  always_comb begin
    next_sums = first_added ? '0 : sums;
    for (int lane = 0; lane < LANES; lane++) begin
      if (added[lane]) begin
        for (int column = 0; column < COLUMNS; column++) begin
          next_sums[column*SUM_BITS+:SUM_BITS] = next_sums[column*SUM_BITS+:SUM_BITS] +
              SUM_BITS'($signed(weights[lane*VECTOR+column*WEIGHT_BITS+:WEIGHT_BITS]));
        end
      end
    end
  end
  always_ff @(posedge clk) if (added[0]) sums <= next_sums;

  logic no_result, results_full;
  fifo #(
      .WIDTH(COLUMNS * SUM_BITS + TAG_BITS),
      .DEPTH(RESULT_WORDS)
  ) results (
      .clk,
      .reset,
      .push(last_added),
      .push_data({added_tag, next_sums}),
      .pop(result_pop),
      .head({result_tag, result_sums}),
      .empty(no_result),
      .full(results_full)
  );
  assign result_valid = !no_result;
  logic unused_full;
  assign unused_full = results_full;
endmodule
