// A transposing memory of attention scores: written a row (query) of COLUMNS keys at a time, read as
// PORT_INPUTS keys of COLUMNS queries at a time. Score (query, key) lies in bank
// (query + key) mod COLUMNS, part key mod PORT_INPUTS: neither access meets a bank twice.
module score_memory #(
    parameter int COLUMNS = 32,
    parameter int BITS = 8,
    parameter int PORT_INPUTS = 4,
    parameter int DEPTH = 256,
    parameter int ADDRESS_BITS = $clog2(DEPTH),
    parameter int LANE_BITS = $clog2(COLUMNS)
) (
    input  logic                                 clk,
    input  logic                                 write,
    input  logic [ADDRESS_BITS-1:0]              write_base,     // of the head and tile of queries
    input  logic [LANE_BITS-1:0]                 write_query,    // within its tile
    input  logic [7:0]                           write_tile,     // of keys
    input  logic [COLUMNS*BITS-1:0]              write_data,     // by key
    input  logic                                 read,
    input  logic [ADDRESS_BITS-1:0]              read_base,      // of the head and tile of queries
    input  logic [7:0]                           read_keys,      // number of PORT_INPUTS keys
    output logic [PORT_INPUTS*COLUMNS*BITS-1:0]  read_data       // by key, by query; the cycle after
);
  localparam int PART_BITS = $clog2(PORT_INPUTS);
  localparam int TILE_ENTRIES = COLUMNS / PORT_INPUTS;
  logic [COLUMNS*BITS-1:0] turned;
  logic [PORT_INPUTS*COLUMNS*BITS-1:0] found;    // by part, by bank
  logic [LANE_BITS-1:0] rotation;

  // Vectors are turned a digit of the distance at a time: lane l comes from lane l - distance, or,
  // back again, from lane l + distance.
  function automatic logic [COLUMNS*BITS-1:0] turn(
      input logic [COLUMNS*BITS-1:0] vector, input logic [LANE_BITS-1:0] distance, input logic back);
    turn = vector;
    for (int digit = 0; digit < LANE_BITS; digit++)
      if (distance[digit])
        turn = back ? (turn >> (BITS << digit)) | (turn << (COLUMNS * BITS - (BITS << digit)))
                    : (turn << (BITS << digit)) | (turn >> (COLUMNS * BITS - (BITS << digit)));
  endfunction
  assign turned = turn(write_data, write_query, 1'b0);
  for (genvar bank = 0; bank < COLUMNS; bank++) begin : banks
    logic [LANE_BITS-1:0] key;
    logic [ADDRESS_BITS-1:0] entry;
    assign key = LANE_BITS'(bank) - write_query;
    assign entry = write_base + ADDRESS_BITS'(write_tile * 8'(TILE_ENTRIES)) + ADDRESS_BITS'(key >> PART_BITS);
    for (genvar part = 0; part < PORT_INPUTS; part++) begin : parts
      sram_1r1w #(
          .WIDTH(BITS),
          .DEPTH(DEPTH)
      ) scores (
          .clk,
          .write(write && PORT_INPUTS'(key % LANE_BITS'(PORT_INPUTS)) == PORT_INPUTS'(part)),
          .write_address(entry),
          .write_data(turned[bank*BITS+:BITS]),
          .read,
          .read_address(read_base + ADDRESS_BITS'(read_keys)),
          .read_data(found[(part*COLUMNS+bank)*BITS+:BITS])
      );
    end
  end
  always_ff @(posedge clk) if (read) rotation <= LANE_BITS'(read_keys << PART_BITS);
  for (genvar part = 0; part < PORT_INPUTS; part++) begin : keys
    assign read_data[part*COLUMNS*BITS+:COLUMNS*BITS] =
        turn(found[part*COLUMNS*BITS+:COLUMNS*BITS], rotation + LANE_BITS'(part), 1'b1);
  end
endmodule
