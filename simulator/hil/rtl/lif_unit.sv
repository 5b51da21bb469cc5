// Leaky integrate-and-fire, LANES neurons a cycle: v' = v + (x - v) / 2 (tau 2, decayed input),
// s = [v' >= threshold], v = s ? 0 : v' (hard reset), with x = sum + bias.
//
// Fixed point: a membrane has FRACTION_BITS bits behind the point, so `threshold` is given in units
// of 2^-FRACTION_BITS. Halving rounds down; it is exact for FRACTION_BITS timesteps. A membrane
// saturates at its width.
//
// Pipeline: sums and bias in cycle c, the membrane in c + 1; spikes and membrane out in c + 3.
module lif_unit #(
    parameter int LANES = 32,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16,
    parameter int FRACTION_BITS = 4
) (
    input  logic                            clk,
    input  logic                            reset,
    input  logic                            sums_valid,
    input  logic [LANES*SUM_BITS-1:0]       sums,
    input  logic [LANES*SUM_BITS-1:0]       bias,
    input  logic                            at_rest,   // with the membrane: take 0 for it
    input  logic [LANES*MEMBRANE_BITS-1:0]  membrane,
    input  logic [MEMBRANE_BITS-1:0]        threshold,
    output logic                            spikes_valid,
    output logic [LANES-1:0]                spikes,
    output logic [LANES*MEMBRANE_BITS-1:0]  new_membrane
);
  localparam int INPUT_BITS = SUM_BITS + 1;
  // Wide enough for the sum of a shifted input and a membrane.
  localparam int WIDE = ((INPUT_BITS + FRACTION_BITS > MEMBRANE_BITS) ?
                         INPUT_BITS + FRACTION_BITS : MEMBRANE_BITS) + 1;
  localparam logic [WIDE-1:0] HIGHEST = (WIDE'(1) << (MEMBRANE_BITS - 1)) - WIDE'(1);
  localparam logic [WIDE-1:0] LOWEST = ~HIGHEST;

  logic input_valid, charged_valid;
  logic [MEMBRANE_BITS-1:0] threshold_now;
  always_ff @(posedge clk) begin
    input_valid <= sums_valid && !reset;
    charged_valid <= input_valid && !reset;
    spikes_valid <= charged_valid && !reset;
    threshold_now <= threshold;
  end

  for (genvar lane = 0; lane < LANES; lane++) begin : neuron
    logic signed [INPUT_BITS-1:0] current;
    logic signed [WIDE-1:0] wide_current, wide_membrane, total, half;
    logic signed [MEMBRANE_BITS-1:0] old, charged;
    logic fires;
    assign old = at_rest ? '0 : membrane[lane*MEMBRANE_BITS+:MEMBRANE_BITS];
    assign wide_current = WIDE'(current) <<< FRACTION_BITS;
    assign wide_membrane = WIDE'(old);
    assign total = wide_current + wide_membrane;
    assign half = total >>> 1;
    assign fires = charged >= $signed(threshold_now);
    always_ff @(posedge clk) begin
      current <= INPUT_BITS'($signed(sums[lane*SUM_BITS+:SUM_BITS]))
               + INPUT_BITS'($signed(bias[lane*SUM_BITS+:SUM_BITS]));
      charged <= (half > $signed(HIGHEST)) ? MEMBRANE_BITS'(HIGHEST)
               : (half < $signed(LOWEST)) ? MEMBRANE_BITS'(LOWEST) : MEMBRANE_BITS'(half);
      spikes[lane] <= fires;
      new_membrane[lane*MEMBRANE_BITS+:MEMBRANE_BITS] <= fires ? '0 : charged;
    end
  end
endmodule
