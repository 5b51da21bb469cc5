// A first-in-first-out queue. What is pushed in a cycle is at the head in the next at the earliest,
// and a place freed in a cycle is filled in the next at the earliest.
module fifo #(
    parameter int WIDTH = 8,
    parameter int DEPTH = 4
) (
    input  logic             clk,
    input  logic             reset,
    input  logic             push,
    input  logic [WIDTH-1:0] push_data,
    input  logic             pop,
    output logic [WIDTH-1:0] head,
    output logic             empty,
    output logic             full
);
  localparam int PLACE_BITS = (DEPTH > 1) ? $clog2(DEPTH) : 1;
  localparam int COUNT_BITS = $clog2(DEPTH + 1);
  localparam logic [PLACE_BITS-1:0] LAST = PLACE_BITS'(DEPTH - 1);

  logic [WIDTH-1:0] places[0:DEPTH-1];
  logic [PLACE_BITS-1:0] first, next;
  logic [COUNT_BITS-1:0] count;

  assign head  = places[first];
  assign empty = count == '0;
  assign full  = count == COUNT_BITS'(DEPTH);

  always_ff @(posedge clk) begin
    if (push) places[next] <= push_data;
    if (reset) begin
      first <= '0;
      next  <= '0;
      count <= '0;
    end else begin
      if (push) next <= (next == LAST) ? '0 : next + 1'b1;
      if (pop) first <= (first == LAST) ? '0 : first + 1'b1;
      if (push && !pop) count <= count + 1'b1;
      if (pop && !push) count <= count - 1'b1;
    end
`ifndef SYNTHESIS
    if (!reset && push && full) $fatal(1, "fifo: pushed while full");
    if (!reset && pop && empty) $fatal(1, "fifo: popped while empty");
`endif
`ifdef FORMAL
    if (!reset) assert (!(push && full));
    if (!reset) assert (!(pop && empty));
`endif
  end
endmodule
