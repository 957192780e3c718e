// SPDX-License-Identifier: BSD-3-Clause
//
// Replay of a log. The input is records, one after the other as in a batch; they are put into log blocks with
// everything right around them, at the place where the log of a small store goes on. The first byte says how
// many go into a batch, and which of the blocks is left out.
#include "tests/fuzz/fuzz_target.h"

#include "metaserver/base/byte_reader.h"
#include "metaserver/store/log_writer.h"
#include "metaserver/store/offline.h"
#include "metaserver/store/slot_blocks.h"
#include "tests/fuzz/sample_store.h"

#include <algorithm>

using namespace csnap;
using namespace csnap::test;

namespace {

std::size_t record_length(std::span<const std::byte> bytes) {
  byte_reader in(bytes);
  in.u32();
  const std::size_t length = 8 + std::size_t{in.u32()};
  return in.ok() && length <= bytes.size() ? length : bytes.size();
}

// The log's blocks as its writer would make them of these records, `per_batch` in each batch.
std::vector<store::device_write> blocks_of(std::span<const std::byte> records, const store::root &newest,
                                           std::size_t per_batch) {
  store::log_writer log(fuzz_geometry(), newest.term, newest.log_sequence, newest.covers);
  std::vector<store::device_write> out;
  for (std::size_t n = 1; !records.empty(); ++n) {
    const auto one = records.first(record_length(records));
    if (!log.has_space(one.size())) break;
    log.append(one);
    records = records.subspan(one.size());
    if (n % per_batch != 0 && !records.empty()) continue;
    auto batch = log.take_batch();
    for (auto &w : batch->writes) out.push_back(std::move(w));
    log.batch_durable();
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size < 2) return 0;
  static const memory_device whole = make_sample_store();
  static const store::root newest = [] {
    memory_device device = whole;
    return store::newest_root_of(*store::read_all_slots(device, fuzz_geometry()))->newest_root;
  }();
  memory_device device = whole;
  const auto records = std::as_bytes(std::span(data, size)).subspan(1);
  const auto writes = blocks_of(records, newest, 1 + data[0] % 4);
  const std::size_t left_out = data[0] / 4u;
  for (std::size_t i = 0; i < writes.size(); ++i)
    if (i + 1 != left_out) device.overwrite(writes[i].offset_bytes, writes[i].bytes);
  memory_device again = device;
  (void)store::check_store(device);
  if (const auto e = store::engine::open_read_only(device, 1u << 20))
    for (const auto &[id, volume] : (*e)->volumes())
      (void)(*e)->list_exceptions(id, chunk_no{0}, chunk_no{~std::uint64_t{0}}, 5000, nullptr);
  (void)store::engine::take_over(again, {});
  return 0;
}
