// The head: for each class the products of COLUMNS channels of the field with their weights a cycle,
// their sum, the class's shift and bias. Logits are whole numbers of 64 bits.
module head_unit #(
    parameter int COLUMNS = 32,
    parameter int FIELD_BITS = 32,
    parameter int CLASSES = 16
) (
    input  logic                           clk,
    input  logic                           start,      // held until done
    input  logic [7:0]                     classes,
    input  logic [7:0]                     tiles,
    output logic                           done,
    output logic                           busy,
    output logic [7:0]                     field_tile,
    input  logic [COLUMNS*FIELD_BITS-1:0]  field,
    output logic                           read,
    output logic [15:0]                    address,    // class * tiles + tile: data a cycle later
    input  logic [COLUMNS*8-1:0]           weights,
    input  logic [CLASSES*8-1:0]           shifts,
    input  logic [CLASSES*64-1:0]          biases,
    output logic [CLASSES*64-1:0]          logits
);
  localparam int CLASS_BITS = $clog2(CLASSES);
  localparam int PRODUCT_BITS = FIELD_BITS + 1 + 8;
  localparam int SUM_BITS = PRODUCT_BITS + $clog2(COLUMNS);
  logic [7:0] number, tile, number1, number2, number3;
  logic valid1, valid2, valid3, last1, last2, last3, first2, ended, reading;
  logic [7:0] tile1;
  logic signed [PRODUCT_BITS-1:0] products[0:COLUMNS-1];
  logic signed [SUM_BITS-1:0] sum;
  logic signed [63:0] total, logit;
  assign reading = start && !ended;
  assign busy = start && !done;
  assign read = reading;
  assign address = 16'(number * tiles) + 16'(tile);
  assign field_tile = tile1;
  always_comb begin
    sum = '0;
    for (int lane = 0; lane < COLUMNS; lane++) sum = sum + SUM_BITS'(products[lane]);
  end
  assign logit = (total <<< shifts[32'(CLASS_BITS'(number3))*8+:8]) + biases[32'(CLASS_BITS'(number3))*64+:64];
  always_ff @(posedge clk) begin
    if (!start) begin
      {number, tile} <= '0;
      {ended, valid1, valid2, valid3, done} <= '0;
    end else begin
      if (reading) begin
        tile <= (tile + 8'd1 == tiles) ? '0 : tile + 1'b1;
        if (tile + 8'd1 == tiles) number <= number + 1'b1;
        if (tile + 8'd1 == tiles && number + 8'd1 == classes) ended <= 1'b1;
      end
      valid1 <= reading;
      valid2 <= valid1;
      valid3 <= valid2;
      if (valid3 && last3 && number3 + 8'd1 == classes) done <= 1'b1;
    end
    number1 <= number;
    number2 <= number1;
    number3 <= number2;
    last1 <= tile + 8'd1 == tiles;
    last2 <= last1;
    last3 <= last2;
    tile1 <= tile;
    first2 <= tile1 == '0;
    for (int lane = 0; lane < COLUMNS; lane++)
      products[lane] <= $signed({1'b0, field[lane*FIELD_BITS+:FIELD_BITS]})
          * $signed(weights[lane*8+:8]);
    if (valid2) total <= (first2 ? '0 : total) + 64'(sum);
    for (int each = 0; each < CLASSES; each++)
      if (valid3 && last3 && CLASS_BITS'(number3) == CLASS_BITS'(each)) logits[each*64+:64] <= logit;
  end
endmodule
