// SPDX-License-Identifier: BSD-3-Clause
#include "scripted_server.h"

using namespace csnap;
using namespace csnap::client;

namespace {

wire::commit commit_of(std::uint64_t chunk, epoch_id e, reserved_chunk place) {
  return {vol, e, {{chunk_no{chunk}, place.reservation, place.place}}};
}
reserved_chunk reserve_one(rig &r) {
  auto got = r.reserve(volume_id{1}, 1);
  REQUIRE(got);
  if (got->empty()) {
    (void)r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 8});
    got = r.reserve(volume_id{1}, 1);
  }
  REQUIRE(got->size() == 1);
  return got->front();
}
void barrier(rig &r, std::uint64_t number, epoch_id next) {
  REQUIRE(r.say(wire::freeze{barrier_id{number}, {vol}}));
  REQUIRE(r.machine.take_drains().size() == 1);
  r.machine.drained(barrier_id{number});
  REQUIRE(r.take<wire::freeze_answer>().barrier == barrier_id{number});
  REQUIRE(r.say(wire::thaw{barrier_id{number}, {{vol, next, true}}}));
}

bool bitmap_ends_with_epoch(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, true);
  REQUIRE(r.write(1) == admission::admitted);
  r.machine.end_write(vol);
  barrier(r, 1, epoch(2));
  return r.write(1) == admission::copy_first;
}

// A commit of epoch 1 is answered "unshared" when epoch 2 has begun.
bool late_answer_sets_no_bit(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, false);
  (void)r.machine.commit(commit_of(1, epoch(1), reserve_one(r)));
  std::uint64_t id = 0;
  (void)r.take<wire::commit>(&id);
  barrier(r, 1, epoch(2));
  REQUIRE(r.reply(id, wire::committed{false, {{wire::copy_fate::used, true}}}));
  return r.write(1) == admission::copy_first;
}

bool commit_keeps_the_epoch_of_its_copy(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, false);
  (void)r.machine.commit(commit_of(1, epoch(1), reserve_one(r)));
  REQUIRE(r.say(wire::thaw{barrier_id{1}, {{vol, epoch(2), true}}}));
  return r.take<wire::commit>().epoch == epoch(1);
}

bool unanswered_chunk_is_the_servers(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), true);
  const reserved_chunk mine = reserve_one(r);
  (void)r.machine.commit(commit_of(1, epoch(1), mine));
  (void)r.take<wire::commit>();
  r.machine.disconnected(r.now);
  const auto next = r.reserve(volume_id{1}, 1);
  REQUIRE(next);
  return next->empty() || next->front().place != mine.place;
}

}  // namespace

TEST_CASE("write: the bitmap is cleared when the epoch changes") {
  REQUIRE(bitmap_ends_with_epoch({}));
  REQUIRE_FALSE(bitmap_ends_with_epoch({"keep_bitmap"}));
}

TEST_CASE("write: an answer of an older epoch sets no bit") {
  REQUIRE(late_answer_sets_no_bit({}));
  REQUIRE_FALSE(late_answer_sets_no_bit({"late_answer"}));
}

TEST_CASE("write: a commit carries the epoch of its copy's start") {
  REQUIRE(commit_keeps_the_epoch_of_its_copy({}));
  REQUIRE_FALSE(commit_keeps_the_epoch_of_its_copy({"epoch_at_send"}));
}

TEST_CASE("write: a chunk of an unanswered commit belongs to the server") {
  REQUIRE(unanswered_chunk_is_the_servers({}));
  REQUIRE_FALSE(unanswered_chunk_is_the_servers({"client_decides"}));
}

TEST_CASE("write: without a snapshot everything is admitted and nothing is asked") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.write(0, 200000) == admission::admitted);
  REQUIRE(r.is_quiet());
  REQUIRE_FALSE(r.machine.has_frames());
}

TEST_CASE("write: an unknown region is asked for once, with its true size") {
  rig r;
  r.connect();
  r.open(epoch(4), true);
  REQUIRE(r.write(131071, 2) == admission::wait);  // touches regions 1 and 2
  REQUIRE(r.write(131072) == admission::wait);
  std::uint64_t id = 0;
  auto q = r.take<wire::unshared_query>(&id);
  REQUIRE(q.first == chunk_no{65536});
  REQUIRE(q.count == 65536);
  std::string bits(65536 / 8, '\0');
  bits.back() = static_cast<char>(0x80);  // chunk 131071
  REQUIRE(r.reply(id, wire::unshared_map{false, bits}));
  q = r.take<wire::unshared_query>(&id);
  REQUIRE(q.epoch == epoch(4));
  REQUIRE(q.count == 65536);
  REQUIRE(r.reply(id, wire::unshared_map{false, std::string(8192, '\0')}));
  REQUIRE(r.is_quiet());
  const auto v = r.machine.begin_write(vol, chunk_no{131070}, 3, r.now);
  REQUIRE(v.what == admission::copy_first);
  REQUIRE(v.epoch == epoch(4));
  REQUIRE(v.shared == std::vector{chunk_no{131070}, chunk_no{131072}});
  REQUIRE(r.write(131071) == admission::admitted);
  REQUIRE(r.write(199999) == admission::wait);  // the last region is a short one
  REQUIRE(r.take<wire::unshared_query>().count == 200000 - 3 * 65536);
}

TEST_CASE("write: a query's answer of an older epoch is not used") {
  rig r;
  r.connect();
  r.open(epoch(1), true);
  REQUIRE(r.write(1) == admission::wait);
  std::uint64_t id = 0;
  (void)r.take<wire::unshared_query>(&id);
  barrier(r, 1, epoch(2));
  REQUIRE(r.reply(id, wire::unshared_map{false, std::string(8192, '\xff')}));
  REQUIRE(r.write(1) == admission::copy_first);  // after a thaw all is known to be shared
  REQUIRE(r.is_quiet());
}

TEST_CASE("write: an answered commit sets its bit and hands the chunk back") {
  rig r;
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, false);
  const reserved_chunk mine = reserve_one(r);
  const ticket t = r.machine.commit(commit_of(1, epoch(1), mine));
  (void)r.answer_with<wire::commit>(wire::committed{false, {{wire::copy_fate::back, true}}});
  REQUIRE(std::holds_alternative<wire::committed>(*r.machine.take_answer(t)));
  REQUIRE_FALSE(r.machine.take_answer(t));
  REQUIRE(r.write(1) == admission::admitted);
  REQUIRE(r.reserve(volume_id{1}, 8)->front().place == mine.place);
}

TEST_CASE("write: a stale commit sets nothing, a used or taken chunk is not handed out again") {
  rig r;
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, false);
  (void)r.machine.commit(commit_of(1, epoch(1), reserve_one(r)));
  (void)r.answer_with<wire::commit>(wire::committed{true, {{wire::copy_fate::taken, true}}});
  REQUIRE(r.write(1) == admission::copy_first);
  REQUIRE(r.reserve(volume_id{1}, 7)->size() == 7);
  (void)r.take<wire::reserve>();
  REQUIRE(r.reserve(volume_id{1}, 1)->empty());
}

TEST_CASE("write: a commit with the wrong number of outcomes is the server's fault") {
  rig r;
  r.connect();
  r.open(epoch(1), true);
  (void)r.machine.commit(commit_of(1, epoch(1), reserve_one(r)));
  std::uint64_t id = 0;
  (void)r.take<wire::commit>(&id);
  REQUIRE(r.reply(id, wire::committed{false, {}}).error().code == errc::invalid);
}

TEST_CASE("write: reserved chunks come contiguous and ascending, and more are asked for in time") {
  rig r;
  r.connect();
  REQUIRE(r.reserve(volume_id{1}, 2)->empty());
  REQUIRE(r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 8}).count == 8);
  const auto a = *r.reserve(volume_id{1}, 2);
  REQUIRE((a[0].place == store_chunk{100} && a[1].place == store_chunk{101}));
  REQUIRE(r.is_quiet());
  const auto b = *r.reserve(volume_id{1}, 3);
  REQUIRE(b[2].place == store_chunk{104});
  (void)r.answer_with<wire::reserve>(
      wire::reserved{reservation_id{5}, store_chunk{200}, 8});  // below half of 8
  r.machine.return_unused(std::span(a).first(1));
  const auto c = *r.reserve(volume_id{1}, 4);  // 100 and 105..107 are no run of four
  REQUIRE(c[0].place == store_chunk{200});
  REQUIRE(c[3].place == store_chunk{203});
}

TEST_CASE("write: a full store is said once the pool is empty, and asked again later") {
  rig r;
  r.connect();
  REQUIRE(r.reserve(volume_id{1}, 1)->empty());
  (void)r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}});
  REQUIRE(r.reserve(volume_id{1}, 1).error().code == errc::no_space);
  REQUIRE(r.reserve(volume_id{1}, 1)->empty());
  REQUIRE(r.is_quiet());
  r.now.value += 100;
  r.machine.tick(r.now);
  REQUIRE(r.reserve(volume_id{1}, 1)->empty());
  (void)r.take<wire::reserve>();
}

TEST_CASE("write: what was refused to a write that is gone fails no later write") {
  rig r;
  r.connect();
  chunk_wait gave_up, later;
  REQUIRE(r.machine.take_reserved(vol, 1, gave_up)->empty());
  SECTION("the answer came before the write began") {
    (void)r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}});
    REQUIRE(r.machine.take_reserved(vol, 1, later)->empty());
  }
  SECTION("the answer came after it, to the question of before") {
    REQUIRE(r.machine.take_reserved(vol, 1, later)->empty());
    (void)r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}});
    REQUIRE(r.machine.take_reserved(vol, 1, later)->empty());
    REQUIRE(r.machine.take_reserved(vol, 1, gave_up).error().code == errc::no_space);
  }
  r.now.value += 100;
  r.machine.tick(r.now);
  REQUIRE(r.machine.take_reserved(vol, 1, later)->empty());
  (void)r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 1});
  REQUIRE(r.machine.take_reserved(vol, 1, later)->size() == 1);
}

TEST_CASE("write: a volume that was refused, and got chunks asked for by another, is not full later") {
  rig r;
  r.connect();
  chunk_wait first, other, second;
  REQUIRE(r.machine.take_reserved(vol, 1, first)->empty());
  (void)r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}});
  REQUIRE(r.machine.take_reserved(volume_id{8}, 1, other)->empty());
  (void)r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 1});
  REQUIRE(r.machine.take_reserved(vol, 1, first)->size() == 1);
  REQUIRE(r.machine.take_reserved(vol, 1, second)->empty());
}

TEST_CASE(
    "write: all that wait are told that the store is full, also in a session that followed a lost one") {
  rig r;
  r.connect();
  chunk_wait one, two;
  REQUIRE(r.machine.take_reserved(vol, 1, one)->empty());
  (void)r.take<wire::reserve>();
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  std::uint64_t id = 0;
  (void)r.take<wire::hello>(&id);
  REQUIRE_FALSE(r.reply(id, wire::failed{errc::gone, "unknown", {}}));
  r.connect();
  REQUIRE(r.machine.take_reserved(vol, 1, two)->empty());
  (void)r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}});
  REQUIRE(r.machine.take_reserved(vol, 1, one).error().code == errc::no_space);
  REQUIRE(r.machine.take_reserved(vol, 1, two).error().code == errc::no_space);
}

TEST_CASE("write: chunks of a lost session do not come back") {
  rig r;
  r.connect();
  const reserved_chunk mine = reserve_one(r);
  r.machine.disconnected(r.now);
  r.machine.connected(r.now);
  std::uint64_t id = 0;
  (void)r.take<wire::hello>(&id);
  REQUIRE_FALSE(r.reply(id, wire::failed{errc::gone, "unknown", {}}));
  r.machine.return_unused(std::span(&mine, 1));
  REQUIRE(r.reserve(volume_id{1}, 1)->empty());
}

TEST_CASE("write: chunks granted outside of the store, or twice, are refused") {
  rig r;
  r.connect();
  (void)r.reserve(volume_id{1}, 1);
  std::uint64_t id = 0;
  (void)r.take<wire::reserve>(&id);
  REQUIRE_FALSE(r.reply(id, wire::reserved{reservation_id{4}, store_chunk{test_store_chunks - 1}, 2}));
}

TEST_CASE("write: what no write needs yet may be refused, and what one needs is asked for at once") {
  rig r;
  r.connect();
  REQUIRE(r.reserve(vol, 1)->empty());
  const auto needed = r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 2});
  REQUIRE(needed.needed);
  REQUIRE(needed.volume == vol);
  REQUIRE(r.reserve(vol, 2)->size() == 2);  // the last ones: more are asked for ahead
  const auto ahead = r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}});
  REQUIRE_FALSE(ahead.needed);
  REQUIRE(r.reserve(vol, 1)->empty());  // no error: the server has not said it of this
  REQUIRE(r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}}).needed);
  REQUIRE(r.reserve(vol, 1).error().code == errc::no_space);
}

TEST_CASE("write: while one volume's request waits for room, another volume asks for itself") {
  rig r;
  r.connect();
  REQUIRE(r.reserve(vol, 1)->empty());
  (void)r.take<wire::reserve>();  // not answered: it waits in the server
  REQUIRE(r.reserve(vol, 1)->empty());
  REQUIRE(r.is_quiet());
  REQUIRE(r.reserve(volume_id{8}, 1)->empty());
  REQUIRE(r.answer_with<wire::reserve>(wire::failed{errc::no_space, "full", {}}).volume == volume_id{8});
  REQUIRE(r.reserve(vol, 1)->empty());
  REQUIRE(r.reserve(volume_id{8}, 1).error().code == errc::no_space);
}

TEST_CASE("write: what is called back goes back, but not what a waiting write was granted") {
  rig r;
  r.connect();
  REQUIRE(r.reserve(vol, 2)->empty());
  (void)r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 8});
  REQUIRE(r.say(wire::reclaim{}));
  const auto back = r.take<wire::return_chunks>();
  REQUIRE(back.runs.size() == 1);
  REQUIRE((back.runs[0].reservation == reservation_id{4} && back.runs[0].first == store_chunk{102}));
  REQUIRE(back.runs[0].count == 6);
  const auto mine = *r.reserve(vol, 2);
  REQUIRE((mine.size() == 2 && mine[1].place == store_chunk{101}));
  (void)r.take<wire::reserve>();
  // What comes back from a copy is in the pool again, and goes back when it is called; an answer is owed anyway.
  r.machine.return_unused(std::span(mine).first(1));
  REQUIRE(r.say(wire::reclaim{}));
  REQUIRE(r.take<wire::return_chunks>().runs.front().first == store_chunk{100});
  REQUIRE(r.say(wire::reclaim{}));
  REQUIRE(r.take<wire::return_chunks>().runs.empty());
}

TEST_CASE("write: a return whose answer was lost is said again, unchanged") {
  rig r;
  r.connect();
  REQUIRE(r.reserve(vol, 1)->empty());
  (void)r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{100}, 8});
  REQUIRE(r.reserve(vol, 1)->size() == 1);
  REQUIRE(r.say(wire::reclaim{}));
  REQUIRE(r.take<wire::return_chunks>().runs.front().count == 7);
  r.machine.disconnected(r.now);
  r.connect();
  REQUIRE(r.take<wire::return_chunks>().runs.front().count == 7);
}

TEST_CASE("write: chunks of an enlarged store are believed once the server has said so") {
  rig r;
  r.connect();
  REQUIRE(r.say(wire::store_grown{test_store_chunks + 8}));
  REQUIRE(r.reserve(vol, 1)->empty());
  (void)r.answer_with<wire::reserve>(wire::reserved{reservation_id{4}, store_chunk{test_store_chunks}, 8});
  REQUIRE(r.reserve(vol, 1)->front().place == store_chunk{test_store_chunks});
}
