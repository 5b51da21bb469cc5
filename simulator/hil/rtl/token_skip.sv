// The compacting token-skip unit: it reads a mask SCAN tokens a cycle and queues the numbers of live
// tokens. Without a stall a scan reads for ceil(tokens / SCAN) cycles, and its last tokens can be
// taken from the queue two cycles after that.
//
// `keep` 1: the list stays for everybody who reads it by position (`list_read`), until the next scan;
// 0: the queue is a stream, a place is free again when its token was taken. A group of tokens that
// does not fit waits, and the scan behind it: back-pressure.
module token_skip #(
    parameter int SCAN = 16,
    parameter int QUEUE = 256,
    parameter int TOKEN_BITS = 16,
    parameter int MASK_BITS = 16,
    parameter int COUNT_BITS = $clog2(QUEUE + 1)
) (
    input  logic                  clk,
    input  logic                  reset,
    input  logic                  scan,         // begin, for one cycle, while not busy
    input  logic                  keep,
    input  logic [TOKEN_BITS-1:0] tokens,
    input  logic [MASK_BITS-1:0]  mask_base,
    output logic                  mask_read,
    output logic [MASK_BITS-1:0]  mask_address,
    input  logic [SCAN-1:0]       mask,         // the cycle after mask_read
    output logic                  reading,      // a group of the mask is read in this cycle
    output logic                  ready,        // the list is complete
    output logic                  stalled,
    output logic [TOKEN_BITS-1:0] live,
    input  logic                  list_read,    // by position, kept lists
    input  logic [COUNT_BITS-1:0] list_position,
    output logic [TOKEN_BITS-1:0] list_token,   // the cycle after list_read
    output logic                  stream_valid, // next token of a stream
    output logic [TOKEN_BITS-1:0] stream_token,
    input  logic                  stream_take
);
  localparam int SCAN_BITS = $clog2(SCAN);
  localparam int LIVE_BITS = $clog2(SCAN + 1);
  localparam int BANK_PLACES = QUEUE / SCAN;
  localparam int PLACE_BITS = (BANK_PLACES > 1) ? $clog2(BANK_PLACES) : 1;
  localparam int POINTER_BITS = PLACE_BITS + SCAN_BITS;

  // Reading. A group that waits holds everything behind it.
  logic [TOKEN_BITS-1:0] position, end_position;
  logic [MASK_BITS-1:0] address;
  logic active, waiting;
  logic [TOKEN_BITS-1:0] first, last;
  assign first = scan ? '0 : position;
  assign last = scan ? tokens : end_position;
  assign mask_read = (scan || active) && first < last && !waiting;
  assign mask_address = scan ? mask_base : address;
  assign reading = mask_read;

  // The group that was read: live tokens moved together.
  logic group_valid;
  logic [TOKEN_BITS-1:0] group_first, group_left;
  logic [SCAN*TOKEN_BITS-1:0] packed_tokens;
  logic [LIVE_BITS-1:0] group_live;
  always_comb begin
    packed_tokens = '0;
    group_live = '0;
    for (int token = 0; token < SCAN; token++) begin
      if (mask[token] && TOKEN_BITS'(token) < group_left) begin
        for (int place = 0; place <= token; place++) begin
          if (group_live == LIVE_BITS'(place))
            packed_tokens[place*TOKEN_BITS+:TOKEN_BITS] = group_first + TOKEN_BITS'(token);
        end
        group_live = group_live + 1'b1;
      end
    end
  end

  // The group that is written: rotated, so that each token goes to its own bank.
  logic write_valid;
  logic [SCAN*TOKEN_BITS-1:0] write_tokens;
  logic [LIVE_BITS-1:0] write_live;
  logic [POINTER_BITS-1:0] next_place, take_place;
  logic [COUNT_BITS-1:0] held;
  logic fits, writing;
  logic [COUNT_BITS:0] after_write;
  assign after_write = (COUNT_BITS + 1)'(held) + (COUNT_BITS + 1)'(write_live);
  assign fits = after_write <= (COUNT_BITS + 1)'(QUEUE);
  assign writing = write_valid && fits;
  assign waiting = write_valid && !fits;
  assign stalled = waiting;

  logic group_last;
  always_ff @(posedge clk) begin
    if (reset) begin
      active <= 1'b0;
      group_valid <= 1'b0;
      write_valid <= 1'b0;
      ready <= 1'b0;
    end else begin
      active <= scan ? tokens != '0 : active && !(group_last && writing);
      if (!waiting) begin
        group_valid <= mask_read;
        write_valid <= group_valid;
      end
      if (scan) ready <= tokens == '0;
      else if (group_last && writing) ready <= 1'b1;
    end
    if (scan) end_position <= tokens;
    if (mask_read) begin
      position <= first + TOKEN_BITS'(SCAN);
      address <= mask_address + 1'b1;
    end else if (scan) begin
      position <= '0;
    end
    if (!waiting) begin
      group_first <= first;
      group_left <= last - first;
      write_tokens <= packed_tokens;
      write_live <= group_live;
    end
  end

  // The last group is being written when nothing follows it.
  assign group_last = active && position >= end_position && !group_valid && write_valid;

  // A place of the queue some steps on.
  function automatic logic [POINTER_BITS-1:0] moved(input logic [POINTER_BITS-1:0] place,
                                                    input logic [LIVE_BITS-1:0] steps);
    moved = POINTER_BITS'((POINTER_BITS + 1)'(place) + (POINTER_BITS + 1)'(steps)
          - (((POINTER_BITS + 1)'(place) + (POINTER_BITS + 1)'(steps) >= (POINTER_BITS + 1)'(QUEUE))
             ? (POINTER_BITS + 1)'(QUEUE) : '0));
  endfunction

  always_ff @(posedge clk) begin
    if (reset || scan) begin
      next_place <= '0;
      take_place <= '0;
      held <= '0;
      live <= '0;
    end else begin
      if (writing) begin
        next_place <= moved(next_place, write_live);
        live <= live + TOKEN_BITS'(write_live);
      end
      if (stream_take) take_place <= moved(take_place, LIVE_BITS'(1));
      held <= COUNT_BITS'((writing ? after_write : (COUNT_BITS + 1)'(held))
              - (COUNT_BITS + 1)'(stream_take));
    end
`ifndef SYNTHESIS
    if (!reset && stream_take && (keep || !stream_valid))
      $fatal(1, "token_skip: took a token that is not there");
`endif
  end

  // Banks: place p of the queue is place p / SCAN of bank p % SCAN.
  logic [SCAN*TOKEN_BITS-1:0] stream_tokens, listed;
  logic [SCAN_BITS-1:0] listed_bank;
  for (genvar bank = 0; bank < SCAN; bank++) begin : banks
    logic [TOKEN_BITS-1:0] places[0:BANK_PLACES-1];
    logic [SCAN_BITS-1:0] source;
    logic [POINTER_BITS-1:0] place;
    assign source = SCAN_BITS'(bank) - next_place[SCAN_BITS-1:0];
    assign place = moved(next_place, LIVE_BITS'(source));
    always_ff @(posedge clk) begin
      if (writing && LIVE_BITS'(source) < write_live)
        places[place[POINTER_BITS-1:SCAN_BITS]] <=
            write_tokens[32'(source)*TOKEN_BITS+:TOKEN_BITS];
      if (list_read)
        listed[bank*TOKEN_BITS+:TOKEN_BITS] <= places[PLACE_BITS'(list_position >> SCAN_BITS)];
    end
    assign stream_tokens[bank*TOKEN_BITS+:TOKEN_BITS] = places[take_place[POINTER_BITS-1:SCAN_BITS]];
    logic unused;
    assign unused = ^place[SCAN_BITS-1:0];
  end
  always_ff @(posedge clk) listed_bank <= list_position[SCAN_BITS-1:0];
  assign list_token = listed[32'(listed_bank)*TOKEN_BITS+:TOKEN_BITS];
  assign stream_valid = held != '0 && !keep;
  assign stream_token = stream_tokens[32'(take_place[SCAN_BITS-1:0])*TOKEN_BITS+:TOKEN_BITS];
endmodule
