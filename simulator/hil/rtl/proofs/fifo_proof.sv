// Proves of a FIFO: nothing is lost, doubled or reordered, and the count never leaves 0 to DEPTH.
// One value, chosen by the solver, is followed through the queue.
module fifo_proof (
    input logic clk,
    input logic reset,
    input logic push,
    input logic pop,
    input logic [1:0] data
);
  localparam int DEPTH = 3;
  logic [1:0] head;
  logic empty, full, pushes, pops;
  assign pushes = push && !full && !reset;
  assign pops = pop && !empty && !reset;
  fifo #(.WIDTH(2), .DEPTH(DEPTH)) queue (
      .clk, .reset, .push(pushes), .push_data(data), .pop(pops), .head, .empty, .full
  );
  // A model: a shift register, the oldest first.
  logic [1:0] kept[0:DEPTH-1];
  logic [2:0] count;
  logic started = 1'b0;
  always_ff @(posedge clk) begin
    started <= 1'b1;
    if (reset) begin
      count <= '0;
    end else begin
      count <= count + 3'(pushes) - 3'(pops);
      for (int place = 0; place < DEPTH; place++) begin
        if (pops && place + 1 < DEPTH) kept[place] <= kept[place+1];
        if (pushes && 3'(place) == count - 3'(pops)) kept[place] <= data;
      end
    end
  end
  always_comb begin
    if (!started) assume (reset);
    if (started) begin
      assert (empty == (count == 0));
      assert (full == (count == 3'(DEPTH)));
      assert (count <= 3'(DEPTH));
      if (count != 0) assert (head == kept[0]);
    end
  end
endmodule
