// Streams vectors of neurons through the LIF unit, one a cycle.
//
// A command: vectors, threshold, then for each vector: at_rest, sums, bias and membranes, each field
// packed into 32-bit words as the port is.
// The answer: for each vector the cycles from its sums to its spikes, the spikes and the membranes.
#include "bench.h"

int main() {
  Bench bench;
  Vdut& dut = bench.dut;
  bench.reset();
  uint32_t vectors;
  while (next_word(vectors)) {
    const uint32_t threshold = need_word();
    const size_t sums = words_of(dut.sums), membranes = words_of(dut.membrane);
    const size_t size = 1 + 2 * sums + membranes;
    const auto stream = need_words(vectors * size);
    set_port(dut.threshold, &threshold);
    uint32_t done = 0;
    for (uint32_t cycle = 0; done < vectors; cycle++) {
      dut.sums_valid = cycle < vectors;
      if (cycle < vectors) {
        set_port(dut.sums, &stream[cycle * size + 1]);
        set_port(dut.bias, &stream[cycle * size + 1 + sums]);
      }
      if (cycle > 0 && cycle <= vectors) {
        const uint32_t* vector = &stream[(cycle - 1) * size];
        dut.at_rest = vector[0];
        set_port(dut.membrane, vector + 1 + 2 * sums);
      }
      bench.settle();
      if (dut.spikes_valid) {
        put_word(cycle - done);
        for (size_t i = 0; i < words_of(dut.spikes); i++) put_word(get_word(dut.spikes, i));
        for (size_t i = 0; i < membranes; i++) put_word(get_word(dut.new_membrane, i));
        done++;
      }
      bench.clock();
    }
  }
}
