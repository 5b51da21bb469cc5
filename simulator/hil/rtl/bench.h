// What the benches share: 32-bit words in and out, ports of any width, and the clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "Vdut.h"
#include "verilated.h"

// Commands come in as little-endian 32-bit words; the end of them between two commands ends the run.
inline bool next_word(uint32_t& word) { return fread(&word, sizeof word, 1, stdin) == 1; }

inline uint32_t need_word() {
  uint32_t word;
  if (!next_word(word)) {
    fprintf(stderr, "the commands end in the middle of one\n");
    exit(3);
  }
  return word;
}

inline std::vector<uint32_t> need_words(size_t count) {
  std::vector<uint32_t> words(count);
  if (count && fread(words.data(), sizeof(uint32_t), count, stdin) != count) {
    fprintf(stderr, "the commands end in the middle of one\n");
    exit(3);
  }
  return words;
}

inline void put_word(uint32_t word) { fwrite(&word, sizeof word, 1, stdout); }

// Ports of up to 64 bits are integers, wider ones arrays of 32-bit words.
template <typename Port>
void set_port(Port& port, const uint32_t* words) {
  if constexpr (sizeof(Port) == 8) {
    port = static_cast<Port>(words[0]) | static_cast<Port>(words[1]) << 32;
  } else {
    port = static_cast<Port>(words[0]);
  }
}
template <std::size_t N>
void set_port(VlWide<N>& port, const uint32_t* words) {
  for (std::size_t i = 0; i < N; i++) port[i] = words[i];
}
template <typename Port>
uint32_t get_word(const Port& port, size_t index) {
  return static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * index));
}
template <std::size_t N>
uint32_t get_word(const VlWide<N>& port, size_t index) {
  return port[index];
}
template <typename Port>
size_t words_of(const Port&) { return sizeof(Port) > 4 ? 2 : 1; }
template <std::size_t N>
size_t words_of(const VlWide<N>&) { return N; }

// Bits [first, first + width) of a port, sign-extended.
template <typename Port>
int32_t signed_field(const Port& port, size_t first, size_t width) {
  uint64_t low = get_word(port, first / 32);
  if (first % 32 + width > 32) low |= static_cast<uint64_t>(get_word(port, first / 32 + 1)) << 32;
  return static_cast<int32_t>(static_cast<uint32_t>(low >> (first % 32)) << (32 - width)) >> (32 - width);
}

template <typename Port>
int ones_of(const Port& port) {
  int ones = 0;
  for (size_t i = 0; i < words_of(port); i++) ones += __builtin_popcount(get_word(port, i));
  return ones;
}

struct Bench {
  VerilatedContext context;
  Vdut dut{&context};

  // Lets the inputs of this cycle reach the outputs.
  void settle() {
    dut.clk = 0;
    dut.eval();
  }
  void clock() {
    dut.clk = 1;
    dut.eval();
  }
  void tick() {
    settle();
    clock();
  }
  void reset() {
    dut.reset = 1;
    tick();
    tick();
    dut.reset = 0;
  }
};
