// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/recovery.h"

#include "metaserver/store/log_reader.h"

namespace csnap::store {

result<recovered> recover(block_device &device, const geometry &shape, const std::vector<slot> &slots,
                          term_id writer, const area_set &areas, std::size_t cache_bytes,
                          const planted_mistakes &planted) {
  recovered out;
  if (const slot *newest = newest_root_of(slots, planted)) out.newest = newest->newest_root;
  out.last = out.newest.covers;
  out.state = std::make_unique<store_state>(device, shape, cache_bytes, planted);
  if (auto done = out.state->load(out.newest, areas, writer); !done) return done.error();
  if (out.newest.term.counter == 0) return out;
  if (out.newest.term.node >= shape.node_count)
    return fail(errc::corrupt, "root of node " + std::to_string(out.newest.term.node) + ", the store has " +
                                   std::to_string(shape.node_count));

  const auto replay = [&](record_seq seq, std::span<const std::byte> bytes) -> result<> {
    const std::string where = "log record " + std::to_string(seq.value) + ": ";
    auto decoded = decode_record(bytes);
    if (!decoded) return fail(decoded.error().code, where + decoded.error().text);
    if (const auto why = out.state->misfit(*decoded)) return fail(errc::corrupt, where + *why);
    if (auto done = out.state->apply(*decoded, seq); !done)
      return fail(done.error().code, where + done.error().text);
    // What was read back is as durable as it will ever be.
    out.state->release_chunks(seq);
    out.state->cache.trim();
    out.last = seq;
    ++out.log_records;
    return {};
  };
  if (auto done = read_log(device, shape, out.newest, replay, planted); !done) return done.error();
  const geometry &now = out.state->shape;
  // A standby opened the device before it was enlarged.
  if (!now.separate_metadata && device.size_bytes() < now.chunks_end_bytes())
    if (auto done = device.measure(); !done) return done.error();
  if (!now.separate_metadata && device.size_bytes() < now.chunks_end_bytes())
    return fail(errc::corrupt, "the store was enlarged to " + std::to_string(now.chunks_end_bytes()) +
                                   " bytes, found a device of " + std::to_string(device.size_bytes()));
  return out;
}

}  // namespace csnap::store
