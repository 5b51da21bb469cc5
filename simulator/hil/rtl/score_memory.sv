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
  logic [COLUMNS*PORT_INPUTS*BITS-1:0] cells[0:DEPTH-1];
  logic [COLUMNS*PORT_INPUTS*BITS-1:0] found;
  logic [LANE_BITS-1:0] rotation;
  always_ff @(posedge clk) begin
    if (write) begin
      for (int key = 0; key < COLUMNS; key++) begin
        logic [LANE_BITS-1:0] bank;
        bank = LANE_BITS'(key) + write_query;
        cells[write_base+ADDRESS_BITS'(write_tile * 8'(TILE_ENTRIES))
              +ADDRESS_BITS'(key / PORT_INPUTS)]
            [(32'(bank)*PORT_INPUTS+key%PORT_INPUTS)*BITS+:BITS] <= write_data[key*BITS+:BITS];
      end
    end
    if (read) begin
      found <= cells[read_base+ADDRESS_BITS'(read_keys)];
      rotation <= LANE_BITS'(read_keys << PART_BITS);
    end
  end
  always_comb begin
    for (int part = 0; part < PORT_INPUTS; part++) begin
      for (int query = 0; query < COLUMNS; query++) begin
        logic [LANE_BITS-1:0] bank;
        bank = LANE_BITS'(query) + rotation + LANE_BITS'(part);
        read_data[(part*COLUMNS+query)*BITS+:BITS] = found[(32'(bank)*PORT_INPUTS+part)*BITS+:BITS];
      end
    end
  end
endmodule
