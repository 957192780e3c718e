// SPDX-License-Identifier: BSD-3-Clause
//
// The bytes on the metadata device. docs/format.md is normative; golden files hold both to each other.
// Everything is little endian, in blocks of 4 KiB, and each block begins with the same 64-byte header:
//
//   0  u32 magic "CSN1"        16  u8[16] store id              48  u64 sequence
//   4  u16 type                32  u64 term counter             56  u32 payload bytes
//   6  u16 format version      40  u32 term node                60  u32 detail (by type)
//   8  u64 own block number    44  u32 CRC-32C of the whole block with this field zero
//
// magic, type, own block number and store id defend against misdirected and stale blocks of anybody, term
// and sequence against stale blocks of our own, the checksum against rot and tearing. A reader knows all of
// them beforehand, or learns term and sequence from the pointer that it followed.
#pragma once

#include "metaserver/base/ids.h"
#include "metaserver/base/result.h"
#include "metaserver/store/geometry.h"
#include "metaserver/store/planted_mistakes.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace csnap::store {

inline constexpr std::uint32_t block_magic = 0x314e5343;  // "CSN1"
inline constexpr std::size_t header_bytes = 64;
inline constexpr std::size_t payload_bytes_max = block_bytes - header_bytes;

enum class block_type : std::uint16_t {
  superblock = 1,       // sequence: 0; detail: device_role
  slot = 2,             // sequence: of this slot, +1 each time it is written; detail: node
  log = 3,              // sequence: of this log block in its log; detail: first/last flags, see below
  exception_page = 4,   // sequence: generation; detail: level (0: leaf)
  catalog_page = 5,     // the same
  space_map = 6,        // sequence: generation; detail: index of the map block within its map
  space_directory = 7,  // sequence: generation; detail: index of the directory block in its chain
};

struct block_header {
  block_type type{};
  std::uint64_t block{};  // own position: byte offset on the metadata device / 4096
  unique_id store;
  term_id term;
  std::uint64_t sequence{};
  std::uint32_t payload_bytes{};
  std::uint32_t detail{};
};

// A block of 4096 bytes with header, payload, zero padding and checksum.
std::vector<std::byte> seal_block(const block_header &header, std::span<const std::byte> payload);

// Verifies magic, format version, type, own position, store id and checksum, and returns the header; the
// payload is then block.subspan(64, payload_bytes). Errors: corrupt with block, expected and found;
// unsupported for a newer format version (whose checksum is right).
result<block_header> open_block(std::span<const std::byte> block, block_type expected_type,
                                std::uint64_t expected_block, const unique_id &expected_store,
                                const planted_mistakes &planted = {});

// ---- pointers ----
// A page is written once in its life and is never changed after: (block, generation, term) names its content
// for all time. The generation alone does not: a term that ends with a checkpoint unfinished has written
// pages of a generation that the next term gives out again. Block 0 (the superblock) means "none".
// On disk: u64 block, u64 generation, u64 term counter, u32 term node.
struct page_pointer {
  std::uint64_t block{};
  std::uint64_t generation{};  // sequence of the page; rises with each checkpoint of a term
  term_id term;                // that wrote the page
  bool is_none() const { return block == 0; }
  friend bool operator==(const page_pointer &, const page_pointer &) = default;
};

inline constexpr std::size_t pointer_bytes = 28;

// ---- slot: block_type::slot ----
// Four blocks per node: copy 0 and 1 are the primary and the mirror of even sequences, 2 and 3 of odd ones.
struct root {
  term_id term;                // of the master that wrote this root; counter 0: no root in this slot
  std::uint64_t generation{};  // rises by one with each checkpoint over all terms
  record_seq covers;           // the last record that the pages contain
  page_pointer exceptions;     // roots of the two trees
  page_pointer catalog;
  page_pointer chunk_map;  // first directory block of the store chunks' map; none: all free
  page_pointer page_map;   // the same for metadata pages
  std::uint64_t exception_count{};
  std::uint64_t log_sequence{};  // the first log block (in the log of term.node) after this root
  snapshot_number last_snapshot;
  session_id last_session;
  reservation_id last_reservation;
  std::uint64_t request_counter{};  // admin requests ever carried out
  std::uint64_t chunk_count{};      // the superblock's, or more: the data device was enlarged
  friend bool operator==(const root &, const root &) = default;
};
inline constexpr std::size_t address_length_max = 255;
struct slot {
  std::uint32_t node{};
  std::uint64_t sequence{};
  term_id term;                                           // newest term this node has claimed
  std::string address;                                    // of its server; empty: none
  std::array<std::byte, area_count / 8> claimed_areas{};  // page areas that only this node may allocate from
  term_id dead_below;  // proven before this was written: no master of a lower term writes any more
  root newest_root;    // the last root this node wrote (of this or an earlier term)
};
std::vector<std::byte> encode_slot(const slot &s);  // the payload
result<slot> decode_slot(std::span<const std::byte> payload);

// ---- superblock: block_type::superblock ----
enum class format_state : std::uint8_t { in_progress = 1, ready = 2 };
struct superblock {
  geometry shape;
  std::uint8_t role{};  // device_role
  format_state state = format_state::ready;
};
std::vector<std::byte> encode_superblock(const superblock &s);
result<superblock> decode_superblock(std::span<const std::byte> payload);

// ---- log: block_type::log ----
// Block number `sequence` of a log lies at index sequence % log_blocks of its node's area. A batch is the
// unit of atomicity: one or more consecutive blocks, the first and last flagged in `detail`.
// Payload: u64 batch number (rises by one), u64 sequence number of the first record that begins in this block
// (0: none), u32 CRC-32C of the previous block of this log as stored in its header (0 in the first of a
// term), u32 blocks of this batch before this one, then the records' bytes; a record may go over into the
// next block of its batch. Records are as in records.h. Batch k + 1 is written only when k is durable: a
// block that shows that its batch began after the first gap proves damage in the middle.
inline constexpr std::uint32_t log_first_of_batch = 1;
inline constexpr std::uint32_t log_last_of_batch = 2;
inline constexpr std::size_t log_prefix_bytes = 24;

// ---- tree pages: exception_page and catalog_page ----
// Key: 20 bytes, compared as (u32, u64, u64) numbers; stored big endian so that memcmp orders them.
//   exception tree: (volume, chunk, number) -> u64 store chunk
//   catalog tree:   (kind, id, sub)         -> 256 bytes, see docs/format.md "Catalog"
// Payload of a leaf: entries of key + value, sorted. Of an inner page: entries of key + page_pointer, sorted,
// the key being the smallest key that may lie under the pointer; the first entry's key counts as minus
// infinity. payload_bytes / entry size is the count.
inline constexpr std::size_t key_bytes = 20;
inline constexpr std::size_t exception_value_bytes = 8;
inline constexpr std::size_t catalog_value_bytes = 256;

// ---- space maps ----
// One bit per store chunk (or page), 1 = used, bit i in byte i / 8 at position i % 8. A map block holds
// space_map_bits of them. The directory is a chain: payload = page_pointer next, then one page_pointer per
// map block (none: all its bits are 0).
inline constexpr std::uint64_t space_map_bits = payload_bytes_max * 8;
inline constexpr std::size_t directory_entries_max = payload_bytes_max / pointer_bytes - 1;

}  // namespace csnap::store
