// Scans masks with the token-skip unit.
//
// A command: tokens, keep, take_every, then the mask, a 32-bit word for each group of SCAN tokens.
// Of a stream (keep 0) a token is taken in every `take_every`-th cycle.
// The answer: cycles in which the mask was read, cycles to the complete list, cycles stalled, live
// tokens, then that many token numbers. A kept list that does not fit gives no numbers.
#include "bench.h"

int main() {
  Bench bench;
  Vdut& dut = bench.dut;
  bench.reset();
  uint32_t tokens;
  while (next_word(tokens)) {
    const uint32_t keep = need_word(), take_every = need_word();
    const auto mask = need_words((tokens + SCAN - 1) / SCAN);
    std::vector<uint32_t> listed;
    uint32_t reading = 0, stalled = 0, cycles = 0, stuck = 0;
    dut.keep = keep;
    dut.tokens = tokens;
    dut.mask_base = 0;
    dut.scan = 1;
    for (uint32_t cycle = 0;; cycle++) {
      dut.stream_take = 0;
      bench.settle();
      if (cycle > 0 && dut.ready && (keep || !dut.stream_valid)) break;
      if (cycle > 0 && !dut.ready) cycles = cycle + 1;
      stuck = dut.stalled ? stuck + 1 : 0;
      if (keep && stuck > 4) break;
      if (cycle > 0 && dut.stream_valid && cycle % take_every == 0) {
        listed.push_back(dut.stream_token);
        dut.stream_take = 1;
        bench.settle();
      }
      reading += dut.reading;
      stalled += dut.stalled;
      const bool read = dut.mask_read;
      const uint32_t address = dut.mask_address;
      bench.clock();
      if (read) dut.mask = mask[address];
      dut.scan = 0;
    }
    const uint32_t live = dut.live;
    const bool complete = dut.ready;
    if (keep && complete) {
      for (uint32_t position = 0; position < live; position++) {
        dut.list_read = 1;
        dut.list_position = position;
        bench.tick();
        listed.push_back(dut.list_token);
      }
      dut.list_read = 0;
    }
    for (uint32_t value : {reading, cycles, stalled, live}) put_word(value);
    put_word(static_cast<uint32_t>(listed.size()));
    for (uint32_t token : listed) put_word(token);
    bench.reset();
  }
}
