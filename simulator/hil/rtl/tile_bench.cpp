// Runs tiles on the spike-skip array, one after another.
//
// A command: words, items, one_bit, weight words (0 keeps the last weights), the weights as words of
// the port, then for each word its bits, item and plane.
// The answer: cycles, accumulating lane-cycles, words pushed, words dropped, cycles in which the
// dispatcher waited, words merged, cycles from the end of the tile to its last merge; then the
// partial sums of each item, a 32-bit word a column.
#include "bench.h"

struct Tile {
  Bench bench;
  Vdut& dut = bench.dut;

  void load(uint32_t count) {
    const size_t width = words_of(dut.load_data);
    for (uint32_t address = 0; address < count; address++) {
      const auto data = need_words(width);
      set_port(dut.load_data, data.data());
      dut.load = 1;
      dut.load_address = address;
      bench.tick();
    }
    dut.load = 0;
  }

  void run(uint32_t words, uint32_t one_bit) {
    const size_t width = words_of(dut.word);
    const auto stream = need_words(words * (width + 2));
    uint32_t cycles = 0, adding = 0, pushed = 0, dropped = 0, waited = 0, merged = 0, drain = 0;
    dut.start = 1;
    dut.one_bit = one_bit;
    size_t next = 0;
    bool busy = words > 0;
    while (busy || dut.pending != 0) {
      dut.word_valid = next < words;
      if (next < words) {
        const uint32_t* word = &stream[next * (width + 2)];
        set_port(dut.word, word);
        dut.item = word[width];
        dut.plane = word[width + 1];
        dut.last = next + 1 == words;
      }
      bench.settle();
      busy = dut.busy;
      cycles += busy;
      drain += !busy && dut.pending != 0;
      adding += ones_of(dut.adding);
      pushed += dut.pushed;
      dropped += dut.dropped;
      merged += dut.merged;
      waited += dut.word_valid && !dut.word_ready;
      if (dut.word_valid && dut.word_ready) next++;
      bench.clock();
      bench.settle();
    }
    for (uint32_t value : {cycles, adding, pushed, dropped, waited, merged, drain}) put_word(value);
  }

  void read_sums(uint32_t items) {
    for (uint32_t item = 0; item < items; item++) {
      dut.drain = 1;
      dut.drain_item = item;
      bench.tick();
      bench.settle();
      for (size_t column = 0; column < COLUMNS; column++)
        put_word(signed_field(dut.drain_sums, column * SUM_BITS, SUM_BITS));
    }
    dut.drain = 0;
    dut.empty_block = 1;
    bench.tick();
    dut.empty_block = 0;
  }
};

int main() {
  Tile tile;
  tile.bench.reset();
  uint32_t words;
  while (next_word(words)) {
    const uint32_t items = need_word(), one_bit = need_word(), weight_words = need_word();
    tile.load(weight_words);
    tile.run(words, one_bit);
    tile.read_sums(items);
  }
}
