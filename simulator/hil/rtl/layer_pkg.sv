// What the layer engine executes: one instruction a layer (or a head of attention) at one timestep.
package layer_pkg;
  localparam int INSTRUCTION_BITS = 303;

  typedef struct packed {
    logic [15:0] wait_for;       // layers that must have ended before its first word is read
    logic        weights_wait;   // and before its weights are loaded (they are a layer's results)
    logic        scan;           // scan a mask first, and list the live tokens
    logic        listed;         // rows are the tokens of the list; else 0 to rows - 1
    logic        one_bit;        // weights of one bit (keys)
    logic        residual;       // add the spikes to the residual stream: a second cycle for each vector
    logic        scores;         // store the low bits of the sums instead of spiking
    logic        at_rest;        // membranes start from 0
    logic [15:0] tokens;         // of the mask
    logic [15:0] mask_base;
    logic [15:0] rows;
    logic [23:0] word_base;      // word of (row, plane, chunk): base + row * row_words + plane * chunks + chunk
    logic [15:0] row_words;
    logic [7:0]  planes;
    logic [7:0]  chunks;
    logic [7:0]  tiles;          // column tiles
    logic [23:0] weight_base;    // words of the port: tile after tile, chunk after chunk
    logic [15:0] chunk_words;    // of a chunk
    logic [15:0] last_words;     // of a tile's last chunk
    logic [15:0] bias_base;      // a vector a tile
    logic [23:0] vector_base;    // membranes of (tile, token): base + tile * tile_vectors + token
    logic [23:0] output_base;    // and its spikes, scores and residual stream
    logic [15:0] tile_vectors;
    logic [31:0] threshold;
  } instruction_t;
endpackage
