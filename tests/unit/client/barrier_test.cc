// SPDX-License-Identifier: BSD-3-Clause
#include "scripted_server.h"

using namespace csnap;
using namespace csnap::client;

namespace {

bool barrier_waits_for_writes(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.write(1) == admission::admitted);
  REQUIRE(r.say(wire::freeze{barrier_id{7}, {vol}}));
  return r.machine.take_drains().empty();
}

bool frozen_stays_frozen(std::vector<std::string> planted) {
  rig r(test_options(std::move(planted)));
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.say(wire::freeze{barrier_id{7}, {vol}}));
  r.machine.disconnected(r.now);
  return r.write(1) == admission::wait;
}

void hello(rig &r) {
  r.machine.connected(r.now);
  (void)r.answer_with<wire::hello>(r.welcome());
}

}  // namespace

TEST_CASE("barrier: it is answered only when no write is in flight") {
  REQUIRE(barrier_waits_for_writes({}));
  REQUIRE_FALSE(barrier_waits_for_writes({"no_drain"}));
}

TEST_CASE("barrier: a frozen client that loses its connection stays frozen") {
  REQUIRE(frozen_stays_frozen({}));
  REQUIRE_FALSE(frozen_stays_frozen({"self_thaw"}));
}

TEST_CASE("barrier: freeze, drain once, answer once, thaw") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.write(1) == admission::admitted);
  REQUIRE(r.write(2) == admission::admitted);
  REQUIRE(r.say(wire::freeze{barrier_id{7}, {vol, volume_id{99}}}));
  REQUIRE(r.write(1) == admission::wait);
  r.machine.end_write(vol);
  REQUIRE(r.machine.take_drains().empty());
  const auto before = r.machine.changes();
  r.machine.end_write(vol);
  REQUIRE(r.machine.changes() > before);
  r.machine.drained(barrier_id{7});  // not reported yet: means nothing
  REQUIRE(r.is_quiet());
  REQUIRE(r.machine.take_drains().size() == 1);
  REQUIRE(r.machine.take_drains().empty());
  r.machine.drained(barrier_id{7});
  r.machine.drained(barrier_id{7});
  (void)r.take<wire::freeze_answer>();
  REQUIRE(r.is_quiet());
  REQUIRE(r.write(1) == admission::wait);
  REQUIRE(r.say(wire::thaw{barrier_id{7}, {{vol, epoch(2), true}}}));
  REQUIRE(r.write(1) == admission::copy_first);
}

TEST_CASE("barrier: one that was given up keeps the bitmap") {
  rig r;
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, true);
  REQUIRE(r.say(wire::freeze{barrier_id{7}, {vol}}));
  REQUIRE(r.say(wire::thaw{barrier_id{7}, {{vol, epoch(1), true}}}));
  REQUIRE(r.write(1) == admission::admitted);
  r.machine.end_write(vol);
  REQUIRE(r.machine.take_drains().empty());
}

TEST_CASE("barrier: the thaw of an earlier one does not thaw") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.say(wire::freeze{barrier_id{8}, {vol}}));
  REQUIRE(r.say(wire::thaw{barrier_id{7}, {{vol, epoch(1), false}}}));
  REQUIRE(r.write(1) == admission::wait);
}

TEST_CASE("barrier: a client that opens while a barrier is on is part of it") {
  rig r;
  r.connect();
  (void)r.machine.open_volume("v");
  (void)r.answer_with<wire::open_volume>(rig::volume(epoch(1), false, 7));
  REQUIRE(r.write(1) == admission::wait);
  REQUIRE(r.machine.take_drains().size() == 1);
}

TEST_CASE("barrier: the same epoch after a reconnect keeps the bitmap, another one clears it") {
  rig r;
  r.connect();
  r.open(epoch(1), true);
  r.learn(1, true);
  r.machine.disconnected(r.now);
  REQUIRE(r.write(1) == admission::admitted);  // the lease lasts
  r.machine.end_write(vol);
  hello(r);
  (void)r.answer_with<wire::open_volume>(rig::volume(epoch(1), true));
  REQUIRE(r.write(1) == admission::admitted);
  r.machine.end_write(vol);
  r.machine.disconnected(r.now);
  hello(r);
  (void)r.answer_with<wire::open_volume>(rig::volume(epoch(2), true));
  r.learn(1, false);
  REQUIRE(r.write(1) == admission::copy_first);
}

TEST_CASE("barrier: a frozen volume is thawed by the server's word after a reconnect") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  REQUIRE(r.say(wire::freeze{barrier_id{7}, {vol}}));
  r.machine.disconnected(r.now);
  hello(r);
  REQUIRE(r.write(1) == admission::wait);
  REQUIRE(r.say(wire::thaw{barrier_id{9}, {{vol, epoch(1), false}}}));
  REQUIRE(r.write(1) == admission::wait);  // not before the answer to the open
  (void)r.answer_with<wire::open_volume>(rig::volume(epoch(1), false));
  REQUIRE(r.write(1) == admission::admitted);
}

TEST_CASE("barrier: a new lease does not cover a volume whose epoch is not confirmed") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  r.machine.disconnected(r.now);
  r.now.value += test_lease_ms;
  hello(r);
  REQUIRE(r.machine.lease_valid(r.now));
  REQUIRE(r.write(1) == admission::wait);
  (void)r.answer_with<wire::open_volume>(rig::volume(epoch(1), false));
  REQUIRE(r.write(1) == admission::admitted);
}

TEST_CASE("barrier: it is not answered while another volume waits for the server's word") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  (void)r.machine.open_volume("w");
  auto w = rig::volume(epoch(1), false);
  w.id = volume_id{4};
  (void)r.answer_with<wire::open_volume>(w);
  REQUIRE(r.machine.begin_write(volume_id{4}, chunk_no{1}, 1, r.now).what == admission::admitted);
  REQUIRE(r.write(1) == admission::admitted);
  r.machine.end_write(vol);
  r.machine.disconnected(r.now);
  hello(r);
  std::uint64_t first = 0, second = 0;
  auto asked = r.take<wire::open_volume>(&first);
  (void)r.take<wire::open_volume>(&second);
  if (asked.id != vol) std::swap(first, second);
  REQUIRE(r.reply(first, rig::volume(epoch(1), false, 7)));
  REQUIRE(r.machine.take_drains().empty());
  w.barrier = barrier_id{7};
  REQUIRE(r.reply(second, w));
  REQUIRE(r.machine.take_drains().empty());  // its write is still in flight
  r.machine.end_write(volume_id{4});
  REQUIRE(r.machine.take_drains().size() == 1);
}

TEST_CASE("barrier: a close does not overtake an open that is under way") {
  rig r;
  r.connect();
  r.open(epoch(1), false);
  (void)r.machine.open_volume("v");
  std::uint64_t id = 0;
  (void)r.take<wire::open_volume>(&id);
  r.machine.close_volume(vol);
  REQUIRE(r.is_quiet());
  REQUIRE(r.write(1) == admission::gone);
  REQUIRE(r.reply(id, rig::volume(epoch(1), false)));
  REQUIRE(r.is_quiet());
  REQUIRE(r.write(1) == admission::admitted);
  r.machine.end_write(vol);
  r.machine.close_volume(vol);
  (void)r.answer_with<wire::close_volume>(wire::done{});
}

TEST_CASE("barrier: an open that nobody waits for any more is closed again") {
  rig r;
  r.connect();
  const ticket t = r.machine.open_volume("v");
  std::uint64_t id = 0;
  (void)r.take<wire::open_volume>(&id);
  r.machine.abandon(t);
  REQUIRE(r.reply(id, rig::volume(epoch(1), false)));
  REQUIRE(r.take<wire::close_volume>().id == vol);
}
