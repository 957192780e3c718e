// SPDX-License-Identifier: BSD-3-Clause
//
// A store of which some bytes are wrong behind right checksums: what rot cannot do, but a defect or an attacker
// can. Superblocks, slots, log blocks, tree pages, maps and directories alike. The input is patches of five bytes:
// u16 block (modulo those in use), u16 offset, u8 value. Everything that reads a store is then run on it.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/base/crc32c.h"
#include "metaserver/store/offline.h"
#include "tests/fuzz/sample_store.h"

#include <algorithm>
#include <set>

using namespace csnap;
using namespace csnap::test;

namespace {

constexpr std::size_t checksum_offset = 44;

std::vector<std::uint64_t> blocks_in_use(const memory_device &device) {
  std::vector<std::uint64_t> out;
  for (std::uint64_t b = 0; b < device.size_bytes() / store::block_bytes; ++b) {
    const auto bytes = device.content().subspan(b * store::block_bytes, store::block_bytes);
    if (std::any_of(bytes.begin(), bytes.end(), [](std::byte x) { return x != std::byte{0}; }))
      out.push_back(b);
  }
  return out;
}

void seal(std::vector<std::byte> &block) {
  const auto put = [&](std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) block[checksum_offset + i] = static_cast<std::byte>(value >> (8 * i));
  };
  put(0);
  put(crc32c(block));
}

void read_everything(memory_device &device) {
  (void)store::check_store(device);
  (void)store::dump_store(device, [](std::string_view) {});
  if (const auto e = store::engine::open_read_only(device, 1u << 20)) {
    for (const auto &[id, volume] : (*e)->volumes()) {
      (void)(*e)->list_exceptions(id, chunk_no{0}, chunk_no{~std::uint64_t{0}}, 5000, nullptr);
      (void)(*e)->last_exception(id, chunk_no{77});
      (void)(*e)->plan_reap(id, volume.reap_cursor, 100);
    }
    (void)(*e)->usage();
  }
  (void)store::repair_store(device);
}

// A master goes on from it: reaping touches every leaf.
void serve(memory_device &device) {
  auto e = store::engine::take_over(device, {});
  if (!e) return;
  for (const auto &[id, volume] : std::map((*e)->volumes())) {
    if (!(*e)->has_room() && !run_checkpoint(**e, device)) return;
    const auto span = (*e)->plan_reap(id, volume.reap_cursor, 1000);
    if (!span) return;
    if (!(*e)->append(store::reaped{id, volume.reap_cursor, span->end, span->end_of_volume})) return;
  }
  if (run_log_batch(**e, device)) (void)run_checkpoint(**e, device);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const memory_device whole = make_sample_store();
  static const std::vector<std::uint64_t> in_use = blocks_in_use(whole);
  byte_reader in(std::as_bytes(std::span(data, std::min<std::size_t>(size, 500))));
  memory_device device = whole;
  std::map<std::uint64_t, std::vector<std::byte>> changed;
  while (in.remaining() >= 5) {
    const std::uint64_t block = in_use[in.u16() % in_use.size()];
    const std::size_t offset = in.u16() % store::block_bytes;
    const std::uint8_t value = in.u8();
    auto [at, is_new] = changed.try_emplace(block);
    const auto bytes = whole.content().subspan(block * store::block_bytes, store::block_bytes);
    if (is_new) at->second.assign(bytes.begin(), bytes.end());
    at->second[offset] = std::byte{value};
  }
  for (auto &[block, bytes] : changed) {
    seal(bytes);
    device.overwrite(block * store::block_bytes, bytes);
  }
  memory_device again = device;
  read_everything(device);
  serve(again);
  return 0;
}
