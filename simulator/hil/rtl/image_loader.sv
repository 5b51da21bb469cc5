// Cuts the image, which comes as bytes, into bit-planes and writes them into the map memory: half a
// pixel (four planes) a cycle, unless a result is written in that cycle.
module image_loader #(
    parameter int BEAT_BITS = 1024,
    parameter int BEATS = 32,
    parameter int PART = 32,
    parameter int MAP_BITS = 10
) (
    input  logic                 clk,
    input  logic                 reset,
    input  logic [15:0]          pixels,
    input  logic [7:0]           width,
    input  logic [1:0]           pixel_shift,   // bytes of a pixel: 1, 2 or 4
    input  logic                 beat_valid,
    input  logic [BEAT_BITS-1:0] beat,
    input  logic                 hold,
    output logic                 write,
    output logic [3:0]           bank,
    output logic [MAP_BITS-1:0]  address,
    output logic [4*PART-1:0]    planes,
    output logic [15:0]          pixels_here
);
  localparam int BYTES = BEAT_BITS / 8;
  localparam int BYTE_BITS = $clog2(BYTES);
  localparam int BEAT_PLACE_BITS = $clog2(BEATS);
  logic [BEAT_BITS-1:0] current;
  logic [BEAT_PLACE_BITS:0] came;
  logic [15:0] number, byte_number;
  logic [7:0] x, y, third_x, third_y;
  logic upper, read, here;
  logic [BEAT_PLACE_BITS-1:0] wanted, held;
  logic holds;
  logic [31:0] pixel, bytes;
  assign byte_number = number << pixel_shift;
  assign wanted = BEAT_PLACE_BITS'(byte_number >> BYTE_BITS);
  assign read = number != pixels && (!holds || held != wanted) && (BEAT_PLACE_BITS + 1)'(wanted) < came;
  assign here = number != pixels && holds && held == wanted;
  assign write = here && !hold;
  // The four bytes that hold the pixel, then the pixel: it never lies across them.
  assign bytes = current[32'(byte_number[BYTE_BITS-1:2])*32+:32];
  assign pixel = (bytes >> {byte_number[1:0], 3'd0}) & (32'hffffffff >> (6'd32 - (6'd8 << pixel_shift)));
  assign third_x = network_pkg::third(9'(x));
  assign third_y = network_pkg::third(9'(y));
  assign bank = 4'(y - 8'd3 * third_y) * 4'd3 + 4'(x - 8'd3 * third_x);
  assign address = MAP_BITS'({
    16'(third_y) * 16'(network_pkg::third(9'(width) + 9'd2)) + 16'(third_x), upper
  });
  assign pixels_here = number;
  always_comb begin
    planes = '0;
    for (int plane = 0; plane < 4; plane++)
      for (int channel = 0; channel < 4; channel++)
        planes[plane*PART+channel] = upper ? pixel[channel*8+4+plane] : pixel[channel*8+plane];
  end
  sram_1r1w #(
      .WIDTH(BEAT_BITS),
      .DEPTH(BEATS)
  ) beats (
      .clk,
      .write(beat_valid),
      .write_address(came[BEAT_PLACE_BITS-1:0]),
      .write_data(beat),
      .read,
      .read_address(wanted),
      .read_data(current)
  );
  always_ff @(posedge clk) begin
    if (reset) begin
      came <= '0;
      number <= '0;
      x <= '0;
      y <= '0;
      upper <= 1'b0;
      holds <= 1'b0;
    end else begin
      if (beat_valid) came <= came + 1'b1;
      if (read) begin
        holds <= 1'b1;
        held <= wanted;
      end
      if (write) begin
        upper <= !upper;
        if (upper) begin
          number <= number + 1'b1;
          x <= (x + 8'd1 == width) ? '0 : x + 1'b1;
          if (x + 8'd1 == width) y <= y + 1'b1;
        end
      end
    end
  end
endmodule
