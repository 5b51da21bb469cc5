// Walks the program: the layers of the patch splitting once, then the blocks' once a timestep, until no
// token lives or all timesteps have run, then the head. Instructions go into a ring, in which each
// engine has its own place; layers behind a halting decision are issued before it, so that their weights
// are on the way, and dropped if no token lives.
module sequencer #(
    parameter int PROGRAM_DEPTH = 256,
    parameter int PROGRAM_BITS = $clog2(PROGRAM_DEPTH)
) (
    input  logic                          clk,
    input  logic                          reset,
    input  logic                          start,
    input  logic [15:0]                   instructions,
    input  logic [7:0]                    timesteps,
    input  logic                          layer_ended,
    input  logic                          halt_done,
    input  logic                          halt_ends_loop,
    input  logic                          any_live,
    input  logic                          port_idle,      // of DRAM
    input  logic                          head_done,
    input  logic                          stored,         // logits are in DRAM
    output logic [PROGRAM_BITS-1:0]       counter,
    input  network_pkg::instruction_t     fetched,        // instruction at the counter
    output logic                          issue,
    output logic [network_pkg::RING_BITS-1:0] issue_place,
    output logic [15:0]                   issued,
    output logic [15:0]                   ended,
    output logic [7:0]                    timestep,       // of the block that runs
    output logic                          last_decision,  // nothing follows it
    output logic                          begin_image,
    output logic                          flush,
    output logic                          head_runs,
    output logic                          stores,
    output logic                          finished
);
  typedef enum logic [2:0] {IDLE, BEGIN, RUN, FLUSH, HEAD, STORE} state_t;
  state_t state;
  logic [7:0] issue_timestep;
  logic [PROGRAM_BITS-1:0] section;
  logic all_issued, room, ends_image;

  assign room = issued - ended < 16'((1 << network_pkg::RING_BITS) - 1);
  assign issue = state == RUN && !all_issued && room;
  assign issue_place = issued[network_pkg::RING_BITS-1:0];
  assign last_decision = timestep + 8'd1 == timesteps && halt_ends_loop;
  assign ends_image = halt_done && (!any_live || last_decision);
  assign begin_image = state == BEGIN;
  assign flush = state != RUN;
  assign head_runs = state == FLUSH || state == HEAD || state == STORE;
  assign stores = state == STORE;

  always_ff @(posedge clk) begin
    finished <= 1'b0;
    if (reset) begin
      state <= IDLE;
    end else begin
      case (state)
        IDLE: if (start) state <= BEGIN;
        BEGIN: state <= RUN;
        RUN: if (ends_image) state <= FLUSH;
        FLUSH: if (port_idle) state <= HEAD;
        HEAD: if (head_done) state <= STORE;
        default: begin
          if (stored) begin
            state <= IDLE;
            finished <= 1'b1;
          end
        end
      endcase
    end
    if (state == BEGIN) begin
      counter <= '0;
      section <= '0;
      issued <= '0;
      ended <= '0;
      issue_timestep <= '0;
      timestep <= '0;
      all_issued <= 1'b0;
    end else begin
      if (issue) begin
        issued <= issued + 1'b1;
        counter <= counter + 1'b1;
        if (fetched.section) section <= counter;
        if (fetched.loop_end) begin
          counter <= (fetched.section) ? counter : section;
          issue_timestep <= issue_timestep + 1'b1;
          if (issue_timestep + 8'd1 == timesteps) all_issued <= 1'b1;
        end
      end
      if (layer_ended || halt_done) ended <= ended + 1'b1;
      if (halt_done && halt_ends_loop) timestep <= timestep + 1'b1;
    end
`ifndef SYNTHESIS
    if (!reset && issue && 16'(counter) >= instructions) $fatal(1, "sequencer: past the program");
`endif
  end
  logic unused;
  assign unused = ^fetched;
endmodule
