// SPDX-License-Identifier: BSD-3-Clause
//
// What is done to a store that no server needs to run for: format, label, check, dump.
#pragma once

#include "metaserver/base/block_device.h"
#include "metaserver/store/catalog.h"
#include "metaserver/store/geometry.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace csnap::store {

struct format_request {
  unique_id store;  // drawn by the caller
  std::uint64_t restore_generation = 1;
  std::uint32_t chunk_bytes = 65536;
  std::uint32_t node_count = 8;
  std::int64_t created_unix_ms{};
  settings values;
  struct origin {
    std::string name;
    std::string device;
    std::uint64_t size_bytes{};
  };
  full_policy when_full = full_policy::error;  // of all origins
  std::vector<origin> origins;                 // volume ids are given in this order, from 1
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
struct label {
  geometry shape;
  device_role role;
};
result<label> read_label(block_device &device);

// The newest term of any slot with the address its master wrote there. Errors: io, corrupt.
struct master_record {
  term_id term;
  std::string address;
};
result<master_record> read_master(block_device &metadata, const geometry &shape);

struct check_report {
  std::vector<std::string> errors;  // one line each: block, expected, found
  std::vector<std::string> notes;   // not wrong, but worth knowing
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

// Gives up to `text.size()` bytes of a dump, 0 at its end.
using dump_source = std::function<result<std::size_t>(std::span<char> text)>;

struct restore_request {
  unique_id store;                  // drawn by the caller: nothing that lies there now can be taken for ours
  std::function<unique_id()> draw;  // secrets, which a dump does not hold: no session can be resumed
  std::uint64_t term_above = 0;     // of what is known to have served this store; clients heard it
};

// Writes the metadata of a dump onto `metadata` (null: onto `data`, where it was laid out for the dump), for
// chunks that lie on `data` where the dump says; they are not touched, nor looked at. The restore generation
// is one higher. A crash leaves a store that says that it is not finished. Everything is durable on return.
// Errors: invalid (with the line of the dump), no_space, io.
result<geometry> restore_store(block_device &data, block_device *metadata, const restore_request &request,
                               const dump_source &source);

struct repair_report {
  std::vector<std::string> repaired;  // one line each: block, and which copy it was written from
  std::vector<std::string> damaged;   // both copies of something: left as it is
};
// Makes the two copies of superblocks and slots alike again, each from the other, where one of them is damaged
// or older. Guesses nothing: what exists once, or is damaged twice, stays. Every write is durable. Nobody may
// be using the store. Errors: io; not_found (no store here), unsupported.
result<repair_report> repair_store(block_device &device);

}  // namespace csnap::store
