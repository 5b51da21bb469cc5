// Runs images on the network engine, with a memory behind its DRAM port.
//
// Commands: 1 address words data...: fill memory (32-bit words, at a byte address);
// 2 address words: read it; 3 address value: write a register; 4 address: read one;
// 5 cycles: let so many pass; 6: tell what happened in the image; 7 latency gap: cycles of the memory
// from request to first data, and between two beats. Answers are there when the next command is read.
// The answer to 6: entries of the log, then the log, 11 words an entry: kind, cycle; of a result (1) or
// a step of early integration (2) layer, tile, token, row, spikes, four planes; of the mask behind a
// decision (5) its two words. 3: a layer or a decision has ended; 4: the head has.
#include <deque>

#include "bench.h"

constexpr size_t ENTRY_WORDS = 11;

struct Memory {
  std::vector<uint32_t> words;
  uint32_t latency = 0, gap = 0;
  struct Burst { uint64_t first_data; uint32_t address, beats; };
  std::deque<Burst> bursts;
  uint64_t next_data = 0;

  uint32_t& at(uint32_t address) {
    if (address / 4 >= words.size()) words.resize(address / 4 + 1, 0);
    return words[address / 4];
  }
};

struct Engine {
  Bench bench;
  Vdut& dut = bench.dut;
  Memory memory;
  uint64_t now = 0;
  const size_t beat_words = words_of(dut.m_rdata);
  bool addressed = false, written = false;
  uint64_t answer_at = 0;
  uint32_t write_address = 0;
  std::vector<uint32_t> log;

  // One cycle: the memory's side of the port, then the clock.
  void cycle() {
    // A slow memory lets requests wait too.
    dut.m_arready = now % (memory.gap + 1) == 0;
    dut.m_rvalid = !memory.bursts.empty() && now >= memory.bursts.front().first_data && now >= memory.next_data;
    if (dut.m_rvalid) {
      auto& burst = memory.bursts.front();
      memory.at(burst.address + 4 * (beat_words - 1));
      set_port(dut.m_rdata, &memory.words[burst.address / 4]);
      dut.m_rlast = burst.beats == 1;
    }
    dut.m_awready = !addressed;
    dut.m_wready = !written;
    dut.m_bvalid = addressed && written && now >= answer_at;
    bench.settle();
    if (dut.running) note();
    was_running = dut.running;
    if (dut.m_rvalid && dut.m_rready) {
      auto& burst = memory.bursts.front();
      burst.address += 4 * beat_words;
      memory.next_data = now + 1 + memory.gap;
      if (--burst.beats == 0) memory.bursts.pop_front();
    }
    if (dut.m_arvalid && dut.m_arready) memory.bursts.push_back({now + 1 + memory.latency, dut.m_araddr, dut.m_arlen + 1u});
    if (dut.m_awvalid && dut.m_awready) addressed = true, write_address = dut.m_awaddr;
    if (dut.m_wvalid && dut.m_wready) {
      written = true;
      answer_at = now + memory.latency;
      held.clear();
      for (size_t i = 0; i < beat_words; i++) held.push_back(get_word(dut.m_wdata, i));
    }
    if (dut.m_bvalid && dut.m_bready) {
      for (size_t i = 0; i < beat_words; i++) memory.at(write_address + 4 * i) = held[i];
      addressed = written = false;
    }
    bench.clock();
    now++;
  }
  std::vector<uint32_t> held;

  void note_entry(uint32_t kind, uint32_t cycle) {
    log.resize(log.size() + ENTRY_WORDS, 0);
    uint32_t* entry = &log[log.size() - ENTRY_WORDS];
    entry[0] = kind, entry[1] = cycle;
    if (kind == 5) {
      for (size_t i = 0; i < 2; i++) entry[2 + i] = get_word(dut.seen_mask, i);
    } else if (kind < 3) {
      entry[2] = dut.seen_index, entry[3] = dut.seen_tile;
      entry[4] = dut.seen_token, entry[5] = dut.seen_row;
      entry[6] = get_word(dut.seen_spikes, 0);
      for (size_t i = 0; i < words_of(dut.seen_planes); i++) entry[7 + i] = get_word(dut.seen_planes, i);
    }
  }
  uint64_t begun = 0;
  bool head_seen = false;
  bool was_running = false;
  void note() {
    if (!was_running) {
      begun = now;
      log.clear();
      head_seen = mask_due = false;
    }
    const uint32_t cycle = static_cast<uint32_t>(now - begun);
    if (dut.seen_step) note_entry(2, cycle);
    if (dut.seen_result) note_entry(1, cycle);
    if (dut.seen_end || dut.seen_decision) note_entry(3, cycle);
    if (dut.seen_head && !head_seen) note_entry(4, cycle);
    if (mask_due) note_entry(5, cycle);
    head_seen = dut.seen_head;
    mask_due = dut.seen_decision;
  }
  bool mask_due = false;

  void write_register(uint32_t address, uint32_t value) {
    dut.s_awaddr = address;
    dut.s_wdata = value;
    dut.s_awvalid = dut.s_wvalid = dut.s_bready = 1;
    for (bool taken = false; !taken;) {
      bench.settle();
      taken = dut.s_awready && dut.s_wready;
      cycle();
    }
    dut.s_awvalid = dut.s_wvalid = 0;
    while (!dut.s_bvalid) cycle();
    cycle();
    dut.s_bready = 0;
  }

  uint32_t read_register(uint32_t address) {
    dut.s_araddr = address;
    dut.s_arvalid = dut.s_rready = 1;
    cycle();
    dut.s_arvalid = 0;
    while (!dut.s_rvalid) cycle();
    const uint32_t value = dut.s_rdata;
    cycle();
    dut.s_rready = 0;
    return value;
  }
};

int main() {
  Engine engine;
  engine.bench.reset();
  uint32_t command;
  while (next_word(command)) {
    if (command == 1) {
      const uint32_t address = need_word(), count = need_word();
      const auto data = need_words(count);
      if (count) engine.memory.at(address + 4 * (count - 1));
      std::copy(data.begin(), data.end(), engine.memory.words.begin() + address / 4);
    } else if (command == 2) {
      const uint32_t address = need_word(), count = need_word();
      for (uint32_t i = 0; i < count; i++) put_word(engine.memory.at(address + 4 * i));
    } else if (command == 3) {
      const uint32_t address = need_word(), value = need_word();
      engine.write_register(address, value);
    } else if (command == 4) {
      put_word(engine.read_register(need_word()));
    } else if (command == 5) {
      for (uint32_t count = need_word(); count; count--) engine.cycle();
    } else if (command == 6) {
      put_word(static_cast<uint32_t>(engine.log.size() / ENTRY_WORDS));
      for (uint32_t word : engine.log) put_word(word);
    } else if (command == 7) {
      engine.memory.latency = need_word();
      engine.memory.gap = need_word();
    } else {
      fprintf(stderr, "no command %u\n", command);
      return 3;
    }
    fflush(stdout);
  }
}
