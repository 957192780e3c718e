// SPDX-License-Identifier: BSD-3-Clause
//
// What is done to a store that no server needs to run for: format, label, check, dump.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/catalog.h"
#include "metaserver/store/geometry.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace csnap::store {

struct format_request {
  unique_id store;                                  // drawn by the caller
  std::uint64_t restore_generation = 1;
  std::uint32_t chunk_bytes = 65536;
  std::uint32_t node_count = 8;
  std::int64_t created_unix_ms{};
  settings values;
  struct origin { std::string name; std::string device; std::uint64_t size_bytes{}; };
  std::vector<origin> origins;                      // volume ids are given in this order, from 1
};

// The layout that format would write. `data_bytes` is the data device's size; `metadata_bytes` that of a
// separate metadata device. Errors: invalid (chunk size, names, too small: says how much it needs).
result<geometry> plan_geometry(const format_request &request, std::uint64_t data_bytes,
                               std::optional<std::uint64_t> metadata_bytes);

// Writes an empty store; the superblocks come last, so that a crash leaves no half store. `metadata` is
// null when there is no separate device. Everything is durable on return.
result<geometry> format_store(block_device &data, block_device *metadata, const format_request &request);

// The superblock of a device (primary, else its copy). Errors: not_found (no store here), corrupt,
// unsupported.
enum class device_role : std::uint8_t { combined = 1, metadata = 2, data = 3 };
struct label { geometry shape; device_role role; };
result<label> read_label(block_device &device);

// The newest term of any slot with the address its master wrote there. Errors: io, corrupt.
struct master_record { term_id term; std::string address; };
result<master_record> read_master(block_device &metadata, const geometry &shape);

struct check_report {
  std::vector<std::string> errors;                  // one line each: block, expected, found
  std::vector<std::string> notes;                   // not wrong, but worth knowing
  std::uint64_t pages_read{}, exceptions{}, chunks_owned{}, chunks_reserved{}, chunks_free{};
  std::uint64_t volumes{}, snapshots{}, log_records{};
  term_id term;
  bool ok() const { return errors.empty(); }
};
// Verifies everything and writes nothing: superblocks, slots, log, every tree page (checksum, own address,
// store, order, level, generation), one owner for each store chunk, free maps = complement, counters. Goes
// on after an error as far as it can.
check_report check_store(block_device &metadata);

// Streams the whole metadata as JSON text (docs/format.md, "Dump"), in pieces to `out`.
result<> dump_store(block_device &metadata, const std::function<void(std::string_view)> &out);

}  // namespace csnap::store
