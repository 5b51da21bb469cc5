// Leaky integrate-and-fire with a bias and a threshold a lane: v' = (v + x) / 2, rounded down and
// saturated; s = [v' >= threshold]; v = s ? 0 : v'. With x = sum + bias counted in weights, the scale of
// a batch-norm is in the threshold. `fraction`: bits of a membrane behind the point.
//
// Pipeline: sums, bias, threshold in cycle c, the membrane in c + 1; spikes and membrane out in c + 3.
module neuron_unit #(
    parameter int LANES = 32,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16
) (
    input  logic                            clk,
    input  logic [LANES*SUM_BITS-1:0]       sums,
    input  logic [LANES*SUM_BITS-1:0]       bias,
    input  logic [LANES*MEMBRANE_BITS-1:0]  threshold,
    input  logic [2:0]                      fraction,
    input  logic                            at_rest,   // with the membrane: take 0 for it
    input  logic [LANES*MEMBRANE_BITS-1:0]  membrane,
    output logic [LANES-1:0]                spikes,
    output logic [LANES*MEMBRANE_BITS-1:0]  new_membrane
);
  localparam int WIDE = SUM_BITS + 1 + 7 + 1;
  localparam int SIGN = MEMBRANE_BITS - 1;
  logic [2:0] fraction_now;
  always_ff @(posedge clk) fraction_now <= fraction;
  for (genvar lane = 0; lane < LANES; lane++) begin : neuron
    logic signed [SUM_BITS:0] current;
    logic signed [WIDE-1:0] wide, old, half;
    logic signed [MEMBRANE_BITS-1:0] charged, limit, limit_now;
    logic fires, fits;
    assign wide = WIDE'(current) <<< fraction_now;
    assign old = at_rest ? '0 : WIDE'($signed(membrane[lane*MEMBRANE_BITS+:MEMBRANE_BITS]));
    assign half = (wide + old) >>> 1;
    // Saturated if the bits above a membrane's are not its sign.
    assign fits = half[WIDE-1:SIGN] == {(WIDE - SIGN) {half[WIDE-1]}};
    assign fires = charged >= limit_now;
    always_ff @(posedge clk) begin
      current <= (SUM_BITS + 1)'($signed(sums[lane*SUM_BITS+:SUM_BITS]))
               + (SUM_BITS + 1)'($signed(bias[lane*SUM_BITS+:SUM_BITS]));
      limit <= threshold[lane*MEMBRANE_BITS+:MEMBRANE_BITS];
      limit_now <= limit;
      charged <= fits ? MEMBRANE_BITS'(half) : {half[WIDE-1], {SIGN{!half[WIDE-1]}}};
      spikes[lane] <= fires;
      new_membrane[lane*MEMBRANE_BITS+:MEMBRANE_BITS] <= fires ? '0 : charged;
    end
  end
endmodule
