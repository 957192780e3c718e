// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/store/offline.h"

#include "metaserver/base/names.h"
#include "metaserver/store/disk_format.h"
#include "metaserver/store/record_fields.h"

#include <algorithm>
#include <set>

namespace csnap::store {

namespace {

constexpr std::uint64_t log_bytes_min = 256u << 10;
constexpr std::uint64_t log_bytes_max = 8u << 20;
constexpr std::uint64_t pages_bytes_min = 4u << 20;
constexpr std::uint64_t page_bytes_per_chunk =
    160;                                  // an exception of 28 bytes in trees half full, copied on write
constexpr std::uint64_t chunks_min = 16;  // fewer and no useful reservation could be made
constexpr std::uint64_t areas_bytes = std::uint64_t{area_count} * block_bytes;
constexpr std::size_t origins_max = 1024;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

result<> check_origins(const format_request &request) {
  if (request.origins.size() > origins_max)
    return fail(errc::invalid, "at most " + std::to_string(origins_max) + " origins can be given");
  std::set<std::string> names;
  for (const auto &origin : request.origins) {
    if (!is_valid_name(origin.name)) return invalid_name("origin", origin.name);
    if (!names.insert(origin.name).second) return fail(errc::invalid, "two origins named " + origin.name);
    if (origin.device.size() > device_length_max)
      return fail(errc::invalid, "origin " + origin.name + ": the name of its device is longer than " +
                                     std::to_string(device_length_max) + " bytes");
    if (origin.size_bytes == 0) return fail(errc::invalid, "origin " + origin.name + ": its device is empty");
  }
  return {};
}

result<> check_request(const format_request &request) {
  if (request.chunk_bytes < 4096 || request.chunk_bytes > (1u << 20) ||
      (request.chunk_bytes & (request.chunk_bytes - 1)) != 0)
    return fail(errc::invalid, "chunk size must be a power of two from 4K to 1M");
  if (request.node_count == 0 || request.node_count > node_count_max)
    return fail(errc::invalid, "number of nodes must be from 1 to " + std::to_string(node_count_max));
  const settings &values = request.values;
  if (values.lease_ms == 0 || values.barrier_ms == 0)
    return fail(errc::invalid, "lease and barrier deadline must not be zero");
  return check_origins(request);
}

result<> check_size(const char *what, std::uint64_t found, std::uint64_t needed) {
  if (found >= needed) return {};
  return fail(errc::invalid, std::string(what) + " is too small: it needs " + std::to_string(needed) +
                                 " bytes (" + format_size(needed) + "), found " + std::to_string(found));
}

// Everything before the pages.
geometry begin_of_metadata(const format_request &request, std::uint64_t device_bytes) {
  geometry g;
  g.store = request.store;
  g.restore_generation = request.restore_generation;
  g.chunk_bytes = request.chunk_bytes;
  g.node_count = request.node_count;
  g.created_unix_ms = request.created_unix_ms;
  g.slots_offset_bytes = superblock_copies * block_bytes;
  g.logs_offset_bytes = g.slots_offset_bytes + g.node_count * blocks_per_slot * block_bytes;
  g.log_blocks = std::clamp(device_bytes / 64 / g.node_count, log_bytes_min, log_bytes_max) / block_bytes;
  g.pages_offset_bytes = g.logs_offset_bytes + g.node_count * g.log_blocks * block_bytes;
  return g;
}

result<geometry> plan_separate(const format_request &request, std::uint64_t data_bytes,
                               std::uint64_t metadata_bytes) {
  geometry g = begin_of_metadata(request, metadata_bytes);
  g.separate_metadata = true;
  if (auto ok = check_size("the metadata device", metadata_bytes, g.pages_offset_bytes + pages_bytes_min);
      !ok)
    return ok.error();
  g.page_count = (metadata_bytes - g.pages_offset_bytes) / areas_bytes * area_count;
  g.chunks_offset_bytes = round_up(superblock_copies * block_bytes, g.chunk_bytes);
  if (auto ok = check_size("the store", data_bytes, g.chunks_offset_bytes + chunks_min * g.chunk_bytes); !ok)
    return ok.error();
  g.chunk_count = (data_bytes - g.chunks_offset_bytes) / g.chunk_bytes;
  const std::uint64_t pages_needed = round_up(g.chunk_count / space_map_bits * 4, area_count);
  if (auto ok = check_size("the metadata device", metadata_bytes,
                           g.pages_offset_bytes + pages_needed * block_bytes);
      !ok)
    return ok.error();
  return g;
}

}  // namespace

result<geometry> plan_geometry(const format_request &request, std::uint64_t data_bytes,
                               std::optional<std::uint64_t> metadata_bytes) {
  if (auto ok = check_request(request); !ok) return ok.error();
  if (metadata_bytes) return plan_separate(request, data_bytes, *metadata_bytes);
  geometry g = begin_of_metadata(request, data_bytes);
  const std::uint64_t needed = round_up(g.pages_offset_bytes + pages_bytes_min + areas_bytes, g.chunk_bytes) +
                               chunks_min * g.chunk_bytes;
  if (auto ok = check_size("the store", data_bytes, needed); !ok) return ok.error();
  const std::uint64_t rest = data_bytes - g.pages_offset_bytes - pages_bytes_min;
  const std::uint64_t chunks = rest / (g.chunk_bytes + page_bytes_per_chunk);
  g.page_count = round_up(pages_bytes_min + chunks * page_bytes_per_chunk, areas_bytes) / block_bytes;
  g.chunks_offset_bytes = round_up(g.pages_offset_bytes + g.page_count * block_bytes, g.chunk_bytes);
  g.chunk_count = (data_bytes - g.chunks_offset_bytes) / g.chunk_bytes;
  return g;
}

}  // namespace csnap::store
