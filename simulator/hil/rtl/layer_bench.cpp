// Runs layers on the layer engine.
//
// Commands: 1 memory address count width, entries of so many 32-bit words: write;
// 2 memory address count width: read; 3 layers limit: run.
// The answer to a read: its entries; to a run: cycles, busy cycles of weight port, array, vector unit
// and token skip, words dropped, pushed and merged, vectors of neurons updated, lane-cycles that
// added, then the cycle at which each layer had ended.
#include "bench.h"

struct Engine {
  Bench bench;
  Vdut& dut = bench.dut;
  std::vector<uint32_t> entry = std::vector<uint32_t>(words_of(dut.host_data), 0);

  void write() {
    dut.host_memory = need_word();
    const uint32_t address = need_word(), count = need_word(), width = need_word();
    const auto data = need_words(static_cast<size_t>(count) * width);
    dut.host_write = 1;
    for (uint32_t i = 0; i < count; i++) {
      std::copy_n(&data[static_cast<size_t>(i) * width], width, entry.begin());
      dut.host_address = address + i;
      set_port(dut.host_data, entry.data());
      bench.tick();
    }
    dut.host_write = 0;
  }

  void read() {
    dut.host_memory = need_word();
    const uint32_t address = need_word(), count = need_word(), width = need_word();
    dut.host_read = 1;
    for (uint32_t i = 0; i < count; i++) {
      dut.host_address = address + i;
      bench.tick();
      bench.settle();
      for (uint32_t word = 0; word < width; word++) put_word(get_word(dut.host_result, word));
    }
    dut.host_read = 0;
  }

  void run() {
    dut.layers = need_word();
    const uint32_t limit = need_word();
    std::vector<uint32_t> counts(9, 0), ends;
    uint32_t cycles = 0;
    dut.run = 1;
    for (bench.settle(); !dut.finished; bench.settle()) {
      uint32_t i = 0;
      counts[i++] += dut.port_busy;
      counts[i++] += dut.array_busy;
      counts[i++] += dut.vector_busy;
      counts[i++] += dut.skip_busy;
      counts[i++] += dut.dropped;
      counts[i++] += dut.pushed;
      counts[i++] += dut.merged;
      counts[i++] += dut.updated;
      counts[i++] += ones_of(dut.adding);
      if (++cycles > limit) {
        fprintf(stderr, "no end after %u cycles\n", limit);
        exit(4);
      }
      if (dut.layer_ended) ends.push_back(cycles);
      bench.clock();
    }
    dut.run = 0;
    bench.tick();
    put_word(cycles);
    for (uint32_t count : counts) put_word(count);
    for (uint32_t end : ends) put_word(end);
  }
};

int main() {
  Engine engine;
  engine.bench.reset();
  uint32_t command;
  while (next_word(command)) {
    if (command == 1) {
      engine.write();
    } else if (command == 2) {
      engine.read();
    } else if (command == 3) {
      engine.run();
    } else {
      fprintf(stderr, "no command %u\n", command);
      return 3;
    }
  }
}
