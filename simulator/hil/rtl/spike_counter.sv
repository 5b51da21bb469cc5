// The neurons of early integration: a constant current for `timesteps` steps, a step every second cycle
// (charge, then count), from rest. The counts are there with the last step's spikes.
// Loaded in cycle c, it charges in c + 1, c + 3, ...; the spikes of a step are out two cycles after.
module spike_counter #(
    parameter int LANES = 32,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16,
    parameter int COUNT_BITS = 4
) (
    input  logic                            clk,
    input  logic                            reset,
    input  logic                            load,
    input  logic [7:0]                      timesteps,
    input  logic [LANES*SUM_BITS-1:0]       sums,
    input  logic [LANES*SUM_BITS-1:0]       bias,
    input  logic [LANES*MEMBRANE_BITS-1:0]  threshold,
    input  logic [2:0]                      fraction,
    output logic                            stepped,    // spikes of a step
    output logic [LANES-1:0]                spikes,
    output logic                            done,       // with its last step
    output logic [LANES*COUNT_BITS-1:0]     counts      // planes of all lanes, lowest bits first
);
  localparam int WIDE = SUM_BITS + 1 + 7 + 1;
  localparam int SIGN = MEMBRANE_BITS - 1;
  logic [7:0] left;
  logic charging, fired, fired_first, fired_last;
  logic [2:0] kept_fraction;
  always_ff @(posedge clk) begin
    if (reset) begin
      left <= '0;
      charging <= 1'b0;
      fired <= 1'b0;
      stepped <= 1'b0;
      done <= 1'b0;
    end else begin
      if (load) left <= timesteps;
      else if (charging) left <= left - 1'b1;
      charging <= load || (fired && left != '0);
      fired <= charging;
      stepped <= fired;
      done <= fired && fired_last;
    end
    fired_last <= left == 8'd1;
    if (charging) fired_first <= left == timesteps;
    if (load) kept_fraction <= fraction;
  end
  for (genvar lane = 0; lane < LANES; lane++) begin : neuron
    logic signed [SUM_BITS:0] current;
    logic signed [WIDE-1:0] half;
    logic signed [MEMBRANE_BITS-1:0] charged, limit, membrane;
    logic [COUNT_BITS-1:0] count;
    logic fires, fits;
    assign membrane = (left == timesteps) ? '0 : fires ? '0 : charged;
    assign half = ((WIDE'(current) <<< kept_fraction) + WIDE'(membrane)) >>> 1;
    // Saturated if the bits above a membrane's are not its sign.
    assign fits = half[WIDE-1:SIGN] == {(WIDE - SIGN) {half[WIDE-1]}};
    assign fires = charged >= limit;
    always_ff @(posedge clk) begin
      if (load) begin
        current <= (SUM_BITS + 1)'($signed(sums[lane*SUM_BITS+:SUM_BITS]))
                 + (SUM_BITS + 1)'($signed(bias[lane*SUM_BITS+:SUM_BITS]));
        limit <= threshold[lane*MEMBRANE_BITS+:MEMBRANE_BITS];
      end
      if (charging)
        charged <= fits ? MEMBRANE_BITS'(half) : {half[WIDE-1], {SIGN{!half[WIDE-1]}}};
      if (fired) begin
        spikes[lane] <= fires;
        count <= (fired_first ? '0 : count) + COUNT_BITS'(fires);
      end
    end
    for (genvar each = 0; each < COUNT_BITS; each++) begin : planes
      assign counts[each*LANES+lane] = count[each];
    end
  end
endmodule
