// SPDX-License-Identifier: BSD-3-Clause
//
// Each planted mistake of the engine is found: a question that the engine answers well as it is, it answers
// badly with the mistake. The questions are those of the other tests, each in its shortest form.
#include "meddling_device.h"
#include "metaserver/store/block.h"
#include "metaserver/store/page_areas.h"
#include "metaserver/store/planted_mistakes.h"
#include "metaserver/store/slot_blocks.h"
#include "tests/support/store_model.h"

#include <catch2/catch.hpp>

using namespace csnap;
using namespace csnap::store;
using namespace csnap::test;

namespace {

using mistakes = std::vector<std::string>;

// A store with a history, run by node 0.
struct scene {
  geometry shape = tiny_geometry();
  memory_device device{tiny_store_bytes};
  std::unique_ptr<engine> e;
  store_model model;
  record_source source;

  explicit scene(const mistakes &planted = {}, std::uint64_t seed = 5, std::uint64_t volume_chunks = 900)
      : source(seed, volume_chunks) {
    make_tiny_store(device);
    REQUIRE(take_over(0, planted) == "");
  }
  std::string take_over(std::uint32_t node, const mistakes &planted = {}, bool predecessors_dead = true) {
    engine_options o;
    o.node = node;
    o.planted = planted;
    o.predecessors_dead = predecessors_dead;
    auto opened = engine::take_over(device, o);
    if (!opened) return opened.error().text;
    e = std::move(*opened);
    return "";
  }
  void append(int records = 1) {
    for (int i = 0; i < records; ++i) {
      if (!e->has_room()) checkpoint();
      const record r = source.next(*e);
      const auto done = e->append(r);
      if (done) model.apply(r);
      else REQUIRE(done.error().code == errc::no_space);
    }
  }
  void batches(int count) {
    for (int i = 0; i < count; ++i) {
      append();
      REQUIRE(run_log_batch(*e, device).has_value());
    }
  }
  void checkpoint() { REQUIRE(run_checkpoint(*e, device).has_value()); }
  // A refusal is no wrong answer.
  std::string wrong_answer() {
    const std::string difference = model.difference(*e);
    return difference.starts_with("listing: ") ? "" : difference;
  }
  std::vector<std::byte> block(std::uint64_t number) const {
    const auto bytes = device.content().subspan(number * block_bytes, block_bytes);
    return {bytes.begin(), bytes.end()};
  }
  void put_block(std::uint64_t number, std::span<const std::byte> bytes) {
    device.overwrite(number * block_bytes, bytes);
  }
  // Of the exception tree, written by the newest checkpoint.
  std::vector<std::uint64_t> newest_leaves() {
    const auto slots = read_all_slots(device, shape);
    const root newest = newest_root_of(*slots)->newest_root;
    std::vector<std::uint64_t> out;
    const std::uint64_t first = shape.pages_offset_bytes / block_bytes;
    for (std::uint64_t b = first; b < first + shape.page_count; ++b) {
      const auto header = open_block(block(b), block_type::exception_page, b, shape.store);
      if (header && header->detail == 0 && header->sequence == newest.generation &&
          header->term == newest.term)
        out.push_back(b);
    }
    return out;
  }
};

// A refusal at the takeover is right; else nothing wrong may be answered.
std::string after_damage(scene &s, const mistakes &planted) {
  return s.take_over(1, planted) == "" ? s.wrong_answer() : "";
}

std::string a_flipped_bit(const mistakes &planted) {
  scene s;
  s.batches(60);
  s.checkpoint();
  const auto leaves = s.newest_leaves();
  REQUIRE_FALSE(leaves.empty());
  auto bytes = s.block(leaves.front());
  bytes[header_bytes + key_bytes] ^= std::byte{1};
  s.put_block(leaves.front(), bytes);
  return after_damage(s, planted);
}

std::string two_blocks_exchanged(const mistakes &planted) {
  scene s;
  s.batches(150);
  s.checkpoint();
  const auto leaves = s.newest_leaves();
  REQUIRE(leaves.size() >= 2);
  const auto a = s.block(leaves[0]), b = s.block(leaves[1]);
  s.put_block(leaves[0], b);
  s.put_block(leaves[1], a);
  return after_damage(s, planted);
}

// A term ends with its checkpoint unfinished; of the next term's pages, at the same places and of the same
// generation, one write is lost without a word.
std::string a_lost_page_write(const mistakes &planted) {
  scene s({}, 5, 20000);
  unsigned same_generation = 0;
  for (int round = 0; round < 12; ++round) {
    s.batches(30);
    s.checkpoint();
    s.batches(8);
    const auto unfinished = s.e->take_checkpoint();
    REQUIRE(unfinished.has_value());
    REQUIRE(run_writes(s.device, unfinished->writes, durability::durable).has_value());
    s.batches(8);
    const memory_device before = s.device;
    REQUIRE(s.take_over(0) == "");
    for (const std::uint64_t leaf : s.newest_leaves()) {
      const auto old_bytes = before.content().subspan(leaf * block_bytes, block_bytes);
      const auto old_header = open_block(old_bytes, block_type::exception_page, leaf, s.shape.store);
      const auto header = open_block(s.block(leaf), block_type::exception_page, leaf, s.shape.store);
      if (!old_header || old_header->sequence != header->sequence) continue;
      ++same_generation;
      scene damaged;
      damaged.device = s.device;
      damaged.model = s.model;
      damaged.put_block(leaf, old_bytes);
      if (const auto wrong = after_damage(damaged, planted); wrong != "") return wrong;
    }
  }
  REQUIRE(same_generation > 0);
  return "";
}

// Power cuts after the takeover by an engine with the mistake: the next one must find what was reported.
std::string a_power_cut_after_takeover(const mistakes &planted) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    scene s({}, seed);
    s.batches(40);
    REQUIRE(s.take_over(1, planted) == "");
    s.batches(3);
    s.device.crash(s.source.random());
    if (const auto refused = s.take_over(0); refused != "") return refused;
    if (const auto wrong = s.model.difference(*s.e); wrong != "") return wrong;
  }
  return "";
}

std::string a_chunk_freed_by_a_lost_record(const mistakes &planted) {
  scene s(planted);
  session_info session;
  session.id = session_id{1};
  REQUIRE(s.e->append(session_opened{session}).has_value());
  for (std::uint64_t id = 1;; ++id) {
    const auto found = s.e->find_free_chunks(1024);
    if (!found) break;
    if (!s.e->has_room()) s.checkpoint();
    REQUIRE(s.e->append(chunks_reserved{reservation_id{id}, session_id{1}, found->first, found->second}));
  }
  REQUIRE(run_log_batch(*s.e, s.device).has_value());
  REQUIRE(s.e->append(session_closed{session_id{1}}).has_value());
  return s.e->find_free_chunks(1).has_value() ? "a chunk is offered that a crash gives back to its session"
                                              : "";
}

// A crash after a checkpoint's pages were written and before its root was: the pages of the root before, and
// of the tree that goes on meanwhile, must be untouched.
std::string pages_before_the_root(const mistakes &planted) {
  if (const auto wrong = a_chunk_freed_by_a_lost_record(planted); wrong != "") return wrong;
  scene s(planted);
  for (int round = 0; round < 30; ++round) {
    s.batches(10);
    s.checkpoint();
    s.batches(10);
    const auto pages = s.e->take_checkpoint();
    REQUIRE(pages.has_value());
    REQUIRE(run_writes(s.device, pages->writes, durability::durable).has_value());
    if (const auto refused = s.take_over(0, planted); refused != "") return refused;
    if (const auto wrong = s.model.difference(*s.e); wrong != "") return wrong;
  }
  return "";
}

std::string a_root_of_a_stale_master(const mistakes &planted) {
  scene s;
  REQUIRE(s.take_over(0, {}, false) == "");
  s.batches(20);
  s.checkpoint();
  std::unique_ptr<engine> stale = std::move(s.e);
  REQUIRE(s.take_over(1, {}, true) == "");
  s.batches(5);
  // The stale one finishes the checkpoint that it was about to make, with a record that nobody was told of.
  session_info session;
  session.id = session_id{999};
  REQUIRE(stale->append(session_opened{session}).has_value());
  REQUIRE(run_checkpoint(*stale, s.device).has_value());
  return s.take_over(1, planted) == "" ? s.model.difference(*s.e) : "";
}

std::string damage_in_the_middle_of_the_log(const mistakes &planted) {
  scene s;
  s.batches(6);
  const std::vector<std::byte> rot(16, std::byte{0xa5});
  s.device.overwrite(s.shape.logs_offset_bytes + 3 * block_bytes + 200, rot);
  return after_damage(s, planted);
}

std::string a_long_history(const mistakes &planted) {
  scene s(planted);
  s.batches(200);
  return s.model.difference(*s.e);
}

std::string a_power_cut_after_append(const mistakes &planted) {
  scene s(planted);
  s.batches(5);
  s.append(3);
  const record_seq acknowledged = s.e->last_durable();
  s.device.crash(s.source.random());
  REQUIRE(s.take_over(0) == "");
  return s.e->last_appended() < acknowledged ? "an acknowledged record is gone" : "";
}

std::string a_rotten_slot(const mistakes &planted) {
  scene s(planted);
  s.batches(5);
  s.checkpoint();
  const auto newest = read_slot(s.device, s.shape, 0);
  const std::uint64_t copy = s.shape.slots_offset_bytes / block_bytes + (newest->sequence % 2) * 2;
  auto bytes = s.block(copy);
  bytes[100] ^= std::byte{1};
  s.put_block(copy, bytes);
  const auto read = read_slot(s.device, s.shape, 0);
  return !read || read->sequence != newest->sequence ? "the newest slot is lost with one of its blocks" : "";
}

std::string pages_of_a_predecessor(const mistakes &planted) {
  scene s;
  make_tiny_store(s.device);
  REQUIRE(s.take_over(0, {}, false) == "");
  s.model = {};
  s.batches(10);
  const auto claimed = read_slot(s.device, s.shape, 0)->claimed_areas;
  s.device.start_recording();
  REQUIRE(s.take_over(1, planted, false) == "");
  for (const auto &w : s.device.recorded())
    for (std::uint64_t a = 0; a < area_count; ++a) {
      const std::uint64_t begin = s.shape.pages_offset_bytes + first_page_of_area(s.shape, a) * block_bytes;
      const std::uint64_t end = s.shape.pages_offset_bytes + first_page_of_area(s.shape, a + 1) * block_bytes;
      if (has_area(claimed, a) && w.offset_bytes < end && w.offset_bytes + w.bytes.size() > begin)
        return "a page is written where a predecessor may still write";
    }
  return "";
}

// Two nodes look for areas at one time, and each writes its claim before it can see the other's.
std::string two_claims_at_one_time(const mistakes &planted) {
  scene s;
  make_tiny_store(s.device);
  meddling_device shared(s.device);
  std::string refused = "never began";
  shared.before_write(1, [&] { refused = s.take_over(0, {}, false); });
  engine_options other;
  other.node = 1;
  other.planted = planted;
  other.predecessors_dead = false;
  const auto second = engine::take_over(shared, other);
  if (!second) return second.error().text;
  if (refused != "") return refused;
  const auto of_first = read_slot(s.device, s.shape, 0)->claimed_areas;
  const auto of_second = read_slot(s.device, s.shape, 1)->claimed_areas;
  for (std::uint64_t a = 0; a < area_count; ++a)
    if (has_area(of_first, a) && has_area(of_second, a)) return "an area is claimed by two";
  return "";
}

// What the old master acknowledges until the new term is in the store.
std::string a_record_before_the_term(const mistakes &planted) {
  scene s;
  REQUIRE(s.take_over(0, {}, false) == "");
  s.batches(5);
  meddling_device shared(s.device);
  shared.before_write(1, [&] { s.batches(1); });
  engine_options other;
  other.node = 1;
  other.planted = planted;
  auto second = engine::take_over(shared, other);
  if (!second) return second.error().text;
  return s.model.difference(**second);
}

struct planted_case {
  const char *mistake;
  std::string (*question)(const mistakes &planted);  // "": answered well
};

constexpr planted_case cases[] = {
    {"checksum_ignored", a_flipped_bit},
    {"address_ignored", two_blocks_exchanged},
    {"stale_page_ok", a_lost_page_write},
    {"no_flush_before_root", a_power_cut_after_takeover},
    {"recovery_not_flushed", a_power_cut_after_takeover},
    {"reuse_before_durable", pages_before_the_root},
    {"root_by_sequence_only", a_root_of_a_stale_master},
    {"tail_hides_corruption", damage_in_the_middle_of_the_log},
    {"split_loses_right", a_long_history},
    {"ack_before_write", a_power_cut_after_append},
    {"mirror_not_written", a_rotten_slot},
    {"dead_areas_at_once", pages_of_a_predecessor},
    {"claims_not_compared", two_claims_at_one_time},
    {"replay_first", a_record_before_the_term},
};

}  // namespace

TEST_CASE("planted: each mistake of the engine is found, and none without it", "[store][planted]") {
  std::vector<std::string> covered;
  for (const auto &[mistake, question] : cases) {
    INFO(mistake);
    CHECK(question({}) == "");
    CHECK(question({mistake}) != "");
    covered.push_back(mistake);
  }
  std::sort(covered.begin(), covered.end());
  CHECK(covered == planted_mistakes::names());
}
