// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/formatted_store.h"

#include "metaserver/base/check.h"
#include "metaserver/store/offline.h"

#include <map>
#include <tuple>

namespace csnap::simulation {
namespace {

constexpr std::uint64_t metadata_bytes = 7u << 20;

formatted_store make(const run_options &o) {
  store::format_request request;
  request.store.bytes[0] = std::byte{7};
  request.chunk_bytes = o.chunk_bytes;
  request.node_count = 3;
  request.when_full = o.when_full;
  request.values.lease_ms = o.lease_ms;
  request.values.lease_margin_ms = o.margin_ms;
  request.values.barrier_ms = o.barrier_ms;
  for (unsigned v = 0; v < o.volumes; ++v)
    request.origins.push_back({v == 0 ? "a" : "b", "/dev/x", o.volume_sectors * sector_bytes});
  const std::uint64_t data = (o.separate_metadata ? 65536 : metadata_bytes) + o.store_chunks * o.chunk_bytes;
  formatted_store made{disk_image(data), std::nullopt};
  if (o.separate_metadata) made.metadata.emplace(metadata_bytes);
  image_device on_data(made.data);
  std::optional<image_device> on_metadata;
  if (made.metadata) on_metadata.emplace(*made.metadata);
  const auto shape = store::format_store(on_data, on_metadata ? &*on_metadata : nullptr, request);
  if (!shape) check(false, shape.error().text.c_str());
  return made;
}

}  // namespace

const formatted_store &formatted_store_for(const run_options &o) {
  using key = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t, unsigned, std::uint64_t,
                         std::uint64_t, bool, full_policy>;
  static std::map<key, formatted_store> kept;
  const key wanted{o.chunk_bytes,    o.lease_ms,     o.margin_ms,         o.barrier_ms, o.volumes,
                   o.volume_sectors, o.store_chunks, o.separate_metadata, o.when_full};
  const auto found = kept.find(wanted);
  if (found != kept.end()) return found->second;
  if (kept.size() > 64) kept.clear();
  return kept.emplace(wanted, make(o)).first->second;
}

result<> image_device::read(std::uint64_t offset, std::span<std::byte> into) {
  image_.read(offset, into);
  return {};
}
result<> image_device::write(std::uint64_t offset, std::span<const std::byte> from, durability) {
  image_.write(offset, from, true);
  return {};
}
result<> image_device::zero(std::uint64_t offset, std::uint64_t length, bool, durability how) {
  return write(offset, std::vector<std::byte>(length), how);
}
result<> image_device::flush() { return {}; }

}  // namespace csnap::simulation
