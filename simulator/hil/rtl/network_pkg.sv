// What the network engine executes: one instruction a layer (or a head of attention) at one timestep,
// one a halting decision. The sequencer walks the program; its loop is the timestep.
package network_pkg;
  localparam int RING_BITS = 5;       // instructions under way: 32

  // Where a layer's words are read.
  localparam logic [1:0] FROM_MAP = 2'd0;     // 3 x 3 windows of a map
  localparam logic [1:0] FROM_TOKENS = 2'd1;  // rows of tokens
  localparam logic [1:0] FROM_VALUES = 2'd2;  // values, transposed: a row a channel
  localparam logic [1:0] FROM_PACKED = 2'd3;  // rows by their place in the list
  // Where its weights are.
  localparam logic [1:0] FETCHED = 2'd0;      // in DRAM
  localparam logic [1:0] KEYS = 2'd1;         // a bit each
  localparam logic [1:0] SCORES = 2'd2;
  // What its sums become.
  localparam logic [1:0] KEPT = 2'd0;         // stored as scores
  localparam logic [1:0] SPIKES = 2'd1;       // neurons, one step
  localparam logic [1:0] COUNTED = 2'd2;      // neurons for all timesteps, their spikes counted
  // Where its spikes go; 0: nowhere.
  localparam logic [2:0] TO_MAP = 3'd1;
  localparam logic [2:0] TO_TOKENS = 3'd2;
  localparam logic [2:0] TO_KEYS = 3'd3;
  localparam logic [2:0] TO_VALUES = 3'd4;
  localparam logic [2:0] TO_PACKED = 3'd5;

  localparam int INSTRUCTION_BITS = 288;

  typedef struct packed {
    logic        halting;        // a halting decision, no layer
    logic        section;        // first instruction of the timestep's loop
    logic        loop_end;       // last one: back to the first, if another timestep runs
    logic        stateful;       // membranes are carried from timestep to timestep
    logic [4:0]  back;           // waits for the end of the instruction so many before (0: of none)
    logic        weights_wait;   // and so do its weights (they are a layer's results)
    logic [1:0]  weights;
    logic [1:0]  operand;
    logic        from_image;     // words are those of the image, which is still being read
    logic        scan;           // scan the mask first, and list the live tokens
    logic        listed;         // rows are the tokens of the list; else 0 to rows - 1
    logic        keep_local;     // all chunks stay in the array from row block to row block
    logic [1:0]  neurons;
    logic        pool;           // 3 x 3, stride 2, padding 1, ahead of the neurons
    logic        residual;       // the stream is added to the spikes: a second cycle for each vector
    logic        put_stream;     // the sum, or the spikes, are stored as stream
    logic        attention;      // columns are places in the list; membranes lie by token
    logic [2:0]  target;
    logic [2:0]  fraction;       // bits behind the point of membranes
    logic [15:0] rows;
    logic [7:0]  width;          // pixels of a line of what is read
    logic [15:0] word_base;      // first entry of the operand
    logic [7:0]  row_entries;    // entries of a pixel or token
    logic [7:0]  plane_groups;   // of four planes, entries of each slice
    logic [7:0]  channels;       // of a tap, at most a word's
    logic [3:0]  chunk_taps;     // taps of a chunk (1: a tap has `slices` chunks)
    logic [3:0]  slices;         // words of a tap
    logic [1:0]  part;           // first 32 bits of a word that are meant
    logic [7:0]  planes;
    logic [7:0]  chunks;
    logic [7:0]  tiles;          // of columns
    logic [7:0]  inputs;         // of a chunk
    logic [7:0]  last_inputs;    // of the last one
    logic [15:0] weight_base;    // chunk of DRAM, or entry of keys or scores
    logic [7:0]  chunk_words;    // of the port
    logic [7:0]  last_words;
    logic [15:0] constant_base;  // bias and thresholds: a vector a tile
    logic [15:0] membrane_base;  // of (tile, token); of attention, of a channel
    logic [15:0] stream_in;      // of (tile, token)
    logic [15:0] stream_out;
    logic [15:0] result_base;
    logic [7:0]  result_entries; // of a pixel or token
    logic [7:0]  result_width;   // pixels of a line of what is written
    logic [15:0] tokens;         // vectors of a tile
  } instruction_t;

  // A pass through the vector unit: rows of a column tile in a block of partial sums.
  typedef struct packed {
    instruction_t instr;
    logic [15:0]  index;
    logic [7:0]   block;
    logic [7:0]   tile;
    logic         last_pass;
    logic [15:0]  first_row;
    logic [15:0]  rows;
  } pass_t;

  // Lines of a map have a power of two of pixels: their number divides by a shift.
  function automatic logic [2:0] line_shift(input logic [7:0] width);
    line_shift = '0;
    for (int each = 0; each < 8; each++) if (width[each]) line_shift = line_shift | 3'(each);
  endfunction

  // A third, rounded down, of what is below 512: * 171 / 512, by shifts and sums.
  function automatic logic [7:0] third(input logic [8:0] value);
    logic [16:0] wide;
    wide  = 17'(value);
    third = 8'(((wide << 7) + (wide << 5) + (wide << 3) + (wide << 1) + wide) >> 9);
  endfunction
endpackage
