// The vector unit at work: it drains a block of partial sums, a vector a cycle, through the LIF unit
// to spikes and membranes (and the residual stream, in a second cycle), or stores scores. The last
// results of a pass can be used four cycles after its last busy cycle.
module vector_drain #(
    parameter int COLUMNS = 32,
    parameter int SUM_BITS = 16,
    parameter int MEMBRANE_BITS = 16,
    parameter int FRACTION_BITS = 4,
    parameter int SCORE_BITS = 8,
    parameter int STREAM_BITS = 4,
    parameter int ITEM_BITS = 8,
    parameter int BLOCK_BITS = 1
) (
    input  logic                             clk,
    input  logic                             reset,
    // the pass at the head of the queue; `finished`: its sums are whole
    input  logic                             finished,
    input  logic [BLOCK_BITS-1:0]            block,
    input  logic [7:0]                       tile,
    input  logic                             last_tile,
    input  logic [15:0]                      rows,
    input  layer_pkg::instruction_t instr,
    output logic                             begun,       // the pass leaves the queue
    // partial sums, their tokens and the bias: data a cycle later
    output logic                             drain,
    output logic [BLOCK_BITS-1:0]            drain_block,
    output logic [ITEM_BITS-1:0]             drain_item,
    input  logic [COLUMNS*SUM_BITS-1:0]      sums,
    input  logic [15:0]                      token,
    output logic [15:0]                      bias_address,
    input  logic [COLUMNS*SUM_BITS-1:0]      bias,
    // vectors in memory: data a cycle later
    output logic                             read_membrane,
    output logic [23:0]                      membrane_address,
    output logic                             read_stream,
    output logic [23:0]                      stream_address,
    input  logic [COLUMNS*MEMBRANE_BITS-1:0] membrane,
    input  logic [COLUMNS*STREAM_BITS-1:0]   stream,
    output logic                             write_spikes,
    output logic                             write_scores,
    output logic                             write_stream,
    output logic [23:0]                      write_address,   // of membranes
    output logic [23:0]                      output_address,  // of spikes and scores
    output logic [23:0]                      stream_write_address,
    output logic [COLUMNS-1:0]               spikes,
    output logic [COLUMNS*MEMBRANE_BITS-1:0] new_membrane,
    output logic [COLUMNS*SCORE_BITS-1:0]    scores,
    output logic [COLUMNS*STREAM_BITS-1:0]   new_stream,
    // state
    output logic                             busy,
    output logic                             emptied,     // the block can be cleared
    output logic [BLOCK_BITS-1:0]            emptied_block,
    output logic                             block_freed, // visible when all results are
    output logic                             layer_ended
);
  // The pass being drained: that of the queue in its first cycle, then the one kept.
  logic active, second, now_residual;
  logic [15:0] row;
  logic [15:0] kept_rows;
  logic [7:0] kept_tile;
  logic [BLOCK_BITS-1:0] kept_block;
  logic kept_last_tile;
  layer_pkg::instruction_t kept;
  layer_pkg::instruction_t now;
  logic [15:0] now_rows;
  logic [7:0] now_tile;
  logic [BLOCK_BITS-1:0] now_block;
  logic now_last_tile, last_row, ends;

  assign begun = !active && finished;
  assign now = active ? kept : instr;
  assign now_rows = active ? kept_rows : rows;
  assign now_tile = active ? kept_tile : tile;
  assign now_block = active ? kept_block : block;
  assign now_last_tile = active ? kept_last_tile : last_tile;
  assign busy = active || finished;
  assign now_residual = now.residual;
  assign last_row = row + 16'd1 == now_rows;
  assign ends = busy && last_row && (second || !now_residual);

  always_ff @(posedge clk) begin
    if (reset) begin
      active <= 1'b0;
      second <= 1'b0;
      row <= '0;
    end else begin
      active <= busy && !ends;
      if (busy) second <= now_residual && !second;
      if (busy && (second || !now_residual)) row <= last_row ? '0 : row + 1'b1;
    end
    if (begun) begin
      kept <= instr;
      kept_rows <= rows;
      kept_tile <= tile;
      kept_block <= block;
      kept_last_tile <= last_tile;
    end
  end

  assign drain = busy && !second;
  assign drain_block = now_block;
  assign drain_item = ITEM_BITS'(row);
  assign bias_address = now.bias_base + 16'(now_tile);

  // Cycle 1: sums, bias and token are there; membranes are asked for.
  logic valid1, valid2, valid3, valid4, spiking1, scoring1, scoring2, scoring3, scoring4;
  logic streaming1, streaming2, streaming3, streaming4, streaming5;
  logic rest1, rest2;
  logic [MEMBRANE_BITS-1:0] threshold1, threshold2;
  logic [23:0] base1, address1, address2, address3, address4;
  logic [23:0] output_base1, output2, output3, output4, output5;
  assign spiking1 = valid1 && !scoring1;
  always_ff @(posedge clk) begin
    valid1 <= drain && !reset;
    scoring1 <= now.scores;
    streaming1 <= now_residual;
    rest1 <= now.at_rest;
    threshold1 <= MEMBRANE_BITS'(now.threshold);
    base1 <= now.vector_base + 24'(now_tile * now.tile_vectors);
    output_base1 <= now.output_base + 24'(now_tile * now.tile_vectors);
  end
  assign address1 = base1 + 24'(token);
  assign read_membrane = spiking1;
  assign read_stream = valid2 && streaming2;
  assign membrane_address = address1;
  assign stream_address = output2;

  // Cycles 2 to 4: the LIF unit's; scores and addresses go beside it.
  logic [COLUMNS*SCORE_BITS-1:0] scores2, scores3, scores4;
  always_ff @(posedge clk) begin
    valid2 <= valid1 && !reset;
    valid3 <= valid2 && !reset;
    valid4 <= valid3 && !reset;
    {scoring4, scoring3, scoring2} <= {scoring3, scoring2, scoring1};
    {streaming5, streaming4, streaming3, streaming2} <=
        {streaming4 && valid4, streaming3, streaming2, streaming1};
    rest2 <= rest1;
    threshold2 <= threshold1;
    {address4, address3, address2} <= {address3, address2, address1};
    {output5, output4, output3, output2} <= {output4, output3, output2, output_base1 + 24'(token)};
    for (int column = 0; column < COLUMNS; column++)
      scores2[column*SCORE_BITS+:SCORE_BITS] <= sums[column*SUM_BITS+:SCORE_BITS];
    scores3 <= scores2;
    scores4 <= scores3;
  end
  logic spikes_valid;
  lif_unit #(
      .LANES(COLUMNS),
      .SUM_BITS(SUM_BITS),
      .MEMBRANE_BITS(MEMBRANE_BITS),
      .FRACTION_BITS(FRACTION_BITS)
  ) lif (
      .clk,
      .reset,
      .sums_valid(spiking1),
      .sums,
      .bias,
      .at_rest(rest2),
      .membrane,
      .threshold(threshold2),
      .spikes_valid,
      .spikes,
      .new_membrane
  );
  assign write_spikes = spikes_valid;
  assign write_scores = valid4 && scoring4;
  assign write_address = address4;
  assign output_address = output4;
  assign scores = scores4;

  // Residual stream: read in cycle 2, added to the spikes in cycle 4, written in cycle 5.
  logic [COLUMNS*STREAM_BITS-1:0] stream4;
  always_ff @(posedge clk) begin
    stream4 <= stream;
    for (int column = 0; column < COLUMNS; column++)
      new_stream[column*STREAM_BITS+:STREAM_BITS] <=
          stream4[column*STREAM_BITS+:STREAM_BITS] + STREAM_BITS'(spikes[column]);
  end
  assign write_stream = streaming5;
  assign stream_write_address = output5;

  // What has ended, when its last result is there.
  logic [3:0] freeing, ending;
  always_ff @(posedge clk) begin
    freeing <= reset ? '0 : {freeing[2:0], ends};
    ending <= reset ? '0 : {ending[2:0], ends && now_last_tile};
    emptied <= ends && !reset;
    emptied_block <= now_block;
  end
  assign block_freed = freeing[3];
  assign layer_ended = ending[3];

  logic unused;
  assign unused = ^now;
endmodule
