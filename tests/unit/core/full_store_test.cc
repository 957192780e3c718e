// SPDX-License-Identifier: BSD-3-Clause
//
// What happens when the store has no room: each policy, priorities and holds, what is called back first, who
// waits and for how long, and that giving up a snapshot is a deletion like any other.
#include "metaserver/base/names.h"
#include "tests/unit/core/core_fixture.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace csnap;
using namespace csnap::test;

namespace {

constexpr std::uint64_t small_store_bytes = 5800u << 10;  // some hundred chunks, fewer than a volume has

struct scene {
  explicit scene(full_policy policy, std::vector<std::string> planted = {})
      : server(std::move(planted), 4096, small_store_bytes),
        writer(server, 1),
        tool(server, 4, wire::client_role::tool) {
    for (const char *name : {"a", "b"}) tool.ask<wire::done>(wire::set_volume{request_id(), name, policy});
    volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    REQUIRE(server.engine->usage().chunks_total < test_volume_chunks);
  }
  void snapshot(const std::string &name, std::int32_t priority = 0) {
    auto what = create_of("a", name);
    what.priority = static_cast<std::uint32_t>(priority);
    const auto request = tool.send(what);
    writer.tell(wire::freeze_answer{writer.pushed<wire::freeze>()->barrier});
    tool.take<wire::created>(request);
    volume = writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
  }
  wire::reserve needed(std::uint32_t count = 1) const { return {count, knows_all, volume.id, true}; }
  // Copies chunks first, first + 1, ... of the volume out, for its newest snapshot.
  void copy(std::uint64_t first, std::uint32_t count) {
    const auto from = writer.ask<wire::reserved>(needed(count));
    REQUIRE(from.count == count);
    for (std::uint32_t i = 0; i < count; ++i)
      writer.ask<wire::committed>(commit_of(volume, from, first + i, i));
  }
  // One snapshot after the other, each with chunks that only it needs, until none is left.
  void fill(const std::vector<std::string> &names, const std::vector<std::int32_t> &priorities = {}) {
    const auto share = static_cast<std::uint32_t>(server.engine->usage().chunks_free / names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
      snapshot(names[i], priorities.empty() ? 0 : priorities[i]);
      copy(0, i + 1 == names.size() ? static_cast<std::uint32_t>(server.engine->usage().chunks_free) : share);
    }
    REQUIRE(server.engine->chunks_free_now() == 0);
  }
  void work() {  // of the reaper
    for (int i = 0; i < 20; ++i) server.tick();
  }
  std::vector<std::string> live() {
    std::vector<std::string> out;
    for (const auto &each : tool.ask<wire::list_reply>(wire::list{}).snapshots)
      if (each.state == 1) out.push_back(each.name);
    return out;
  }
  test_server server;
  test_client writer, tool;
  wire::volume_opened volume;
};

using names = std::vector<std::string>;

}  // namespace

TEST_CASE("full store: with `error` a write fails at once, and nothing is given up") {
  scene s(full_policy::error);
  s.fill({"one", "two"});
  CHECK(s.writer.ask<wire::failed>(s.needed()).code == errc::no_space);
  s.work();
  CHECK(s.live() == names{"one", "two"});
}

TEST_CASE("full store: with `origin-first` the oldest snapshot goes, and the write goes on") {
  scene s(full_policy::origin_first);
  s.fill({"one", "two", "three"});
  const auto request = s.writer.send(s.needed());
  CHECK_FALSE(s.writer.answer(request));  // the reaper has to work first
  s.work();
  CHECK(s.writer.take<wire::reserved>(request).count == 1);
  CHECK(s.live() == names{"two", "three"});
  CHECK(s.tool.ask<wire::list_reply>(wire::list{}).volumes.front().sacrificed == 1);
}

TEST_CASE("full store: a request whose session's lease ran out while it waited begins anew") {
  scene s(full_policy::snapshot_first);
  s.fill({"one"});
  const auto waiting = s.writer.send(s.needed());
  s.server.advance(test_lease_over_ms);
  s.tool.ask<wire::done>(remove_of("a", "one"));
  s.work();
  CHECK(s.writer.take<wire::failed>(waiting).code == errc::gone);
}

TEST_CASE("full store: chunks of another session, or given back before, are not given back") {
  scene s(full_policy::error);
  test_client other(s.server, 2);
  const auto mine = s.writer.ask<wire::reserved>(s.needed(8));
  const std::uint64_t free = s.server.engine->chunks_free_now();
  const wire::return_chunks back{{{mine.id, mine.first, 4}}};
  other.ask<wire::done>(back);
  CHECK(s.server.engine->chunks_free_now() == free);
  s.writer.ask<wire::done>(back);
  CHECK(s.server.engine->chunks_free_now() == free + 4);
  s.writer.ask<wire::done>(wire::return_chunks{{{mine.id, mine.first, 6}}});  // and two more
  CHECK(s.server.engine->chunks_free_now() == free + 6);
  s.writer.ask<wire::done>(wire::return_chunks{{{mine.id, store_chunk{mine.first.value + 100}, 6}}});
  CHECK(s.server.engine->chunks_free_now() == free + 6);
  CHECK(s.server.serves());
}

TEST_CASE("status: what holds up a create, and whom, and snapshots that are being given up, are said") {
  scene s(full_policy::origin_first);
  const auto is_told = [&](const std::string &what) {
    const auto all = s.server.conditions();
    return std::any_of(all.begin(), all.end(),
                       [&](const auto &c) { return c.find(what) != std::string::npos; });
  };
  s.fill({"one"});
  const auto creating = s.tool.send(create_of("a", "two"));
  CHECK(is_told("writers are stopped for a create"));
  s.writer.tell(wire::freeze_answer{s.writer.pushed<wire::freeze>()->barrier});
  s.tool.take<wire::created>(creating);
  CHECK_FALSE(is_told("create"));
  s.writer.ask<wire::snapshot_opened>(wire::open_snapshot{"a", "one", {}, {}});  // and does not let go
  s.writer.send(s.needed());
  CHECK(is_told("1 snapshots of volume a are being given up"));
  s.writer.lose_connection();
  (void)s.tool.send(create_of("a", "three"));
  CHECK(is_told("a create waits for a client that cannot be reached"));
}

TEST_CASE("full store: what is asked for ahead of need gives nothing up") {
  scene s(full_policy::origin_first);
  s.fill({"one", "two"});
  auto ahead = s.needed(16);
  ahead.needed = false;
  CHECK(s.writer.ask<wire::failed>(ahead).code == errc::no_space);
  s.work();
  CHECK(s.live() == names{"one", "two"});
}

TEST_CASE("full store: the lowest priority goes first, then the oldest") {
  scene s(full_policy::origin_first);
  s.fill({"one", "two", "three", "four"}, {5, -1, -1, 3});
  for (const names &left : {names{"one", "three", "four"}, names{"one", "four"}, names{"one"}, names{}}) {
    // Ask for more until something has to go.
    for (int i = 0; i < 20 && s.live() != left; ++i) {
      (void)s.writer.send(s.needed(64));
      s.work();
      s.server.advance(500);  // what was granted before is not given back
      s.work();
      s.writer.ask<wire::renewed>(wire::renew{});
      s.server.inbox[s.writer.connection].clear();
    }
    CHECK(s.live() == left);
  }
  // Priorities can be changed.
  scene t(full_policy::origin_first);
  t.fill({"one", "two"});
  t.tool.ask<wire::done>(wire::set_snapshot{request_id(), {"a", "one"}, 7});
  (void)t.writer.send(t.needed());
  t.work();
  CHECK(t.live() == names{"one"});
}

TEST_CASE("full store: a snapshot that is held is not given up") {
  scene s(full_policy::origin_first);
  s.fill({"one", "two"});
  s.tool.ask<wire::done>(wire::hold{request_id(), {"a", "one"}, "backup"});
  (void)s.writer.send(s.needed());
  s.work();
  CHECK(s.live() == names{"one"});
}

TEST_CASE("full store: when all are held, or of volumes with another policy, the write fails and says why") {
  scene s(full_policy::origin_first);
  s.fill({"one"});
  s.tool.ask<wire::done>(wire::hold{request_id(), {"a", "one"}, "backup"});
  const auto refused = s.writer.take<wire::failed>(s.writer.send(s.needed()));
  CHECK(refused.code == errc::no_space);
  CHECK(refused.text.find("no snapshot that may be given up") != std::string::npos);
  s.tool.ask<wire::done>(wire::release{request_id(), {"a", "one"}, "backup"});
  s.tool.ask<wire::done>(wire::set_volume{request_id(), "a", full_policy::snapshot_first});
  test_client other(s.server, 2);
  const auto b = other.ask<wire::volume_opened>(wire::open_volume{"b", {}});
  CHECK(other.take<wire::failed>(other.send(wire::reserve{1, {}, b.id, true})).code == errc::no_space);
  CHECK(s.live() == names{"one"});
}

TEST_CASE("full store: with `snapshot-first` the request waits until something is deleted") {
  scene s(full_policy::snapshot_first);
  s.fill({"one", "two"});
  const auto request = s.writer.send(s.needed());
  s.work();
  s.server.advance(1000);
  CHECK_FALSE(s.writer.answer(request));
  CHECK(s.live() == names{"one", "two"});
  CHECK(s.server.core->status(s.server.now).requests_waiting == 1);
  s.tool.ask<wire::done>(remove_of("a", "one"));
  s.work();
  CHECK(s.writer.take<wire::reserved>(request).count == 1);
  CHECK(s.server.core->status(s.server.now).requests_waiting == 0);
}

TEST_CASE("full store: who waits is bounded, and a second request for the volume is refused") {
  scene s(full_policy::snapshot_first);
  s.fill({"one"});
  const auto waiting = s.writer.send(s.needed());
  CHECK(s.writer.ask<wire::failed>(s.needed()).code == errc::refused);
  CHECK_FALSE(s.writer.answer(waiting));
  // The renewals of a session that waits are answered as always.
  s.writer.ask<wire::renewed>(wire::renew{});
  // A commit can wait as well, and other volumes' requests; but not more than the limit.
  CHECK(s.server.core->status(s.server.now).requests_waiting == 1);
}

TEST_CASE("full store: a request whose connection was lost does not wait, nor one of another policy") {
  scene s(full_policy::snapshot_first);
  s.fill({"one"});
  (void)s.writer.send(s.needed());
  s.writer.lose_connection();
  s.server.tick();
  CHECK(s.server.core->status(s.server.now).requests_waiting == 0);
  s.writer.hello();
  const auto request = s.writer.send(s.needed());
  s.tool.ask<wire::done>(wire::set_volume{request_id(), "a", full_policy::error});
  CHECK(s.writer.take<wire::failed>(request).code == errc::no_space);
}

TEST_CASE("full store: after a takeover what is asked again is answered when there is room") {
  scene s(full_policy::snapshot_first);
  s.fill({"one", "two"});
  (void)s.writer.send(s.needed());
  s.server.restart();
  s.writer.hello();
  const auto request = s.writer.send(s.needed());
  CHECK_FALSE(s.writer.answer(request));
  test_client tool(s.server, 9, wire::client_role::tool);
  tool.ask<wire::done>(remove_of("a", "one"));
  s.work();
  s.writer.take<wire::reserved>(request);
}

TEST_CASE("full store: unused reservations are called back before a snapshot is given up") {
  scene s(full_policy::origin_first);
  s.snapshot("one");
  test_client other(s.server, 2);
  const auto unused = other.ask<wire::reserved>(wire::reserve{30, {}, volume_id{2}, false});
  s.copy(0, static_cast<std::uint32_t>(s.server.engine->usage().chunks_free));
  const auto request = s.writer.send(s.needed(8));
  CHECK(other.pushed<wire::reclaim>());
  CHECK_FALSE(s.writer.answer(request));
  CHECK(s.live() == names{"one"});
  // Ten are in use; the rest comes back.
  const wire::return_chunks back{{{unused.id, store_chunk{unused.first.value + 10}, 20}}};
  other.ask<wire::done>(back);
  CHECK(s.writer.take<wire::reserved>(request).count == 8);
  CHECK(s.server.engine->usage().chunks_free == 12);
  // Said again, as after a lost answer, it takes nothing from those who have the chunks by now.
  other.ask<wire::done>(back);
  CHECK(s.server.engine->usage().chunks_free == 12);
  s.work();
  CHECK(s.live() == names{"one"});
}

TEST_CASE("full store: chunks whose grant is still under way are called back behind it") {
  scene s(full_policy::origin_first);
  s.snapshot("one");
  test_client other(s.server, 2);
  s.server.durable_at_once = false;
  (void)other.send(wire::reserve{
      static_cast<std::uint32_t>(s.server.engine->usage().chunks_free), {}, volume_id{2}, false});
  (void)s.writer.send(s.needed());
  CHECK_FALSE(other.pushed<wire::reclaim>());
  s.server.make_durable();
  const auto &inbox = s.server.inbox[other.connection];
  REQUIRE(inbox.size() == 2);
  CHECK(std::holds_alternative<wire::reserved>(inbox[0].body));
  CHECK(std::holds_alternative<wire::reclaim>(inbox[1].body));
  CHECK(s.live() == names{"one"});
}

TEST_CASE("full store: who does not give back is not waited for any longer than a moment") {
  scene s(full_policy::origin_first);
  s.snapshot("one");
  test_client silent(s.server, 2);
  (void)silent.ask<wire::reserved>(wire::reserve{30, {}, volume_id{2}, false});
  s.copy(0, static_cast<std::uint32_t>(s.server.engine->usage().chunks_free));
  const auto request = s.writer.send(s.needed());
  s.work();
  CHECK(s.live() == names{"one"});
  s.server.advance(500);
  s.work();
  CHECK(s.live().empty());
  s.writer.take<wire::reserved>(request);
}

static bool readers_are_told_before_the_write_goes_on(const std::vector<std::string> &planted) {
  scene s(full_policy::origin_first, planted);
  s.fill({"one", "two"});
  test_client reader(s.server, 3);
  reader.ask<wire::snapshot_opened>(wire::open_snapshot{"a", "one", {}, {}});
  const auto request = s.writer.send(s.needed());
  const auto gone = reader.pushed<wire::snapshot_gone>();
  s.work();
  if (!gone || s.writer.answer(request)) return false;  // its chunks are still what the reader may read
  reader.tell(wire::snapshot_gone_answer{gone->volume, gone->number});
  s.work();
  s.writer.take<wire::reserved>(request);
  return reader.ask<wire::failed>(wire::map{gone->volume, gone->number, chunk_no{0}}).code == errc::not_found;
}

TEST_CASE("full store: the readers of a snapshot that is given up have let go before its chunks are used") {
  CHECK(readers_are_told_before_the_write_goes_on({}));
  CHECK_FALSE(readers_are_told_before_the_write_goes_on({"sacrifice_at_once"}));
}

TEST_CASE("full store: a reader that renews but does not let go is not renewed for ever") {
  scene s(full_policy::origin_first);
  s.fill({"one", "two"});
  test_client reader(s.server, 3);
  reader.ask<wire::snapshot_opened>(wire::open_snapshot{"a", "one", {}, {}});
  const auto request = s.writer.send(s.needed());
  s.server.advance(test_lease_ms - 1);
  s.writer.ask<wire::renewed>(wire::renew{});
  reader.ask<wire::renewed>(wire::renew{});
  s.server.advance(1);
  CHECK(reader.ask<wire::failed>(wire::renew{}).code == errc::gone);
  s.writer.ask<wire::renewed>(wire::renew{});
  s.server.advance(test_lease_over_ms - 1);
  s.work();
  s.writer.take<wire::reserved>(request);
}

TEST_CASE("full store: that a snapshot was given up is durable before a chunk of it is granted") {
  scene s(full_policy::origin_first);
  s.fill({"one", "two"});
  s.server.durable_at_once = false;
  const auto request = s.writer.send(s.needed());
  s.work();
  CHECK_FALSE(s.writer.answer(request));
  s.server.restart();  // nothing of it was durable
  s.server.durable_at_once = true;
  CHECK(s.server.engine->snapshots(s.volume.id).begin()->second.state == store::snapshot_state::live);
  s.writer.hello();
  const auto again = s.writer.send(s.needed());
  s.work();
  s.writer.take<wire::reserved>(again);
  s.server.restart();  // all of it was
  const auto &left = s.server.engine->snapshots(s.volume.id);
  CHECK(left.size() == 1);
  CHECK(s.server.engine->volumes().at(s.volume.id).sacrificed == 1);
}

TEST_CASE("full store: deleting works, creating too, and the last chunks are shared out") {
  scene s(full_policy::snapshot_first);
  s.fill({"one", "two"});
  test_client other(s.server, 2);
  (void)other.ask<wire::volume_opened>(wire::open_volume{"b", {}});
  const auto mine = s.writer.send(s.needed(64));
  const auto theirs = other.send(wire::reserve{64, {}, volume_id{2}, true});
  s.tool.ask<wire::done>(remove_of("a", "one"));
  s.work();
  const auto first = s.writer.take<wire::reserved>(mine), second = other.take<wire::reserved>(theirs);
  CHECK(first.count > 1);
  CHECK(second.count > 1);
  const auto create = s.tool.send(create_of("b", "three"));
  other.tell(wire::freeze_answer{other.pushed<wire::freeze>()->barrier});
  s.tool.take<wire::created>(create);
}

TEST_CASE("hold: a held snapshot cannot be deleted, and says by whom it is held; holds survive a restart") {
  scene s(full_policy::error);
  s.snapshot("one");
  const wire::snapshot_pair one{"a", "one"};
  const wire::hold first{request_id(), one, "backup"};
  s.tool.ask<wire::done>(first);
  s.tool.ask<wire::done>(first);  // repeated
  CHECK(s.tool.ask<wire::failed>(wire::hold{request_id(), one, "backup"}).code == errc::exists);
  for (std::size_t i = 1; i < holds_max; ++i)
    s.tool.ask<wire::done>(wire::hold{request_id(), one, "t" + std::to_string(i)});
  CHECK(s.tool.ask<wire::failed>(wire::hold{request_id(), one, "more"}).code == errc::refused);
  CHECK(s.tool.ask<wire::failed>(wire::hold{request_id(), one, "no tag"}).code == errc::invalid);
  CHECK(s.tool.ask<wire::failed>(wire::hold{request_id(), {"a", "other"}, "t"}).code == errc::not_found);
  CHECK(s.tool.ask<wire::failed>(wire::release{request_id(), one, "other"}).code == errc::not_found);
  const auto refused = s.tool.ask<wire::failed>(remove_of("a", "one"));
  CHECK(refused.text.find("held by 'backup'") != std::string::npos);
  s.server.restart();
  test_client tool(s.server, 9, wire::client_role::tool);
  const auto listed = tool.ask<wire::list_reply>(wire::list{}).snapshots.front();
  REQUIRE(listed.holds.size() == holds_max);
  CHECK(listed.holds.front().tag == "backup");
  for (const auto &held : listed.holds) {
    CHECK(tool.ask<wire::failed>(remove_of("a", "one")).code == errc::refused);
    tool.ask<wire::done>(wire::release{request_id(), one, held.tag});
  }
  tool.ask<wire::done>(remove_of("a", "one"));
}

TEST_CASE(
    "resize: waiting requests go on, clients are told before they are named a new chunk, it is durable") {
  scene s(full_policy::snapshot_first);
  s.fill({"one"});
  const std::uint64_t before = s.server.engine->shape().chunk_count;
  const auto request = s.writer.send(s.needed());
  CHECK(s.tool.ask<wire::resized>(wire::resize{}).chunks_now == before);  // not enlarged yet
  CHECK_FALSE(s.writer.answer(request));
  s.server.enlarge(10 * test_chunk_bytes);
  const auto done = s.tool.ask<wire::resized>(wire::resize{});
  CHECK(done.chunks_before == before);
  CHECK(done.chunks_now == before + 10);
  const auto &inbox = s.server.inbox[s.writer.connection];
  const auto told = std::find_if(inbox.begin(), inbox.end(), [](const wire::envelope &e) {
    return std::holds_alternative<wire::store_grown>(e.body);
  });
  const auto answered =
      std::find_if(inbox.begin(), inbox.end(), [&](const wire::envelope &e) { return e.request == request; });
  CHECK(told < answered);
  CHECK(s.writer.take<wire::reserved>(request).first.value >= before);
  s.server.restart();
  CHECK(s.server.engine->shape().chunk_count == before + 10);
  CHECK(s.writer.take<wire::welcome>(s.writer.hello()).chunk_count == before + 10);
  CHECK(store::check_store(s.server.device()).ok());
}

TEST_CASE("watermarks: each crossing is told once") {
  scene s(full_policy::error);
  s.snapshot("one");
  const std::uint64_t total = s.server.engine->usage().chunks_total;
  const auto condition = [&] { return std::string(s.server.core->status(s.server.now).store_condition); };
  CHECK(condition() == "ok");
  s.copy(0, static_cast<std::uint32_t>(total * 79 / 100));
  CHECK(s.server.warnings.empty());
  std::uint64_t at = total * 79 / 100;
  for (const auto &[percent, expected] :
       {std::pair{81, "high"}, {85, "high"}, {96, "critical"}, {97, "critical"}}) {
    const std::uint64_t until = (total * static_cast<std::uint64_t>(percent) + 99) / 100;
    s.copy(at, static_cast<std::uint32_t>(until - at));
    at = until;
    CHECK(condition() == expected);
  }
  CHECK(s.server.warnings.size() == 2);
  s.copy(at, static_cast<std::uint32_t>(total - at));
  CHECK(condition() == "full");
  CHECK(s.server.warnings.size() == 3);
  s.tool.ask<wire::done>(remove_of("a", "one"));
  s.work();
  CHECK(condition() == "ok");
}

TEST_CASE(
    "create: that a killed writer was not flushed for is known after a restart, when no session is left") {
  test_server server;
  {
    test_client writer(server, 1);
    (void)writer.ask<wire::volume_opened>(wire::open_volume{"a", {}});
    server.died(writer.session);
  }
  server.restart();
  CHECK(server.engine->volumes().begin()->second.unflushed);
  CHECK_FALSE(server.conditions().empty());
  test_client tool(server, 4, wire::client_role::tool);
  const auto waiting = tool.send(create_of("a", "s"));
  server.advance(5000);
  const auto refused = tool.take<wire::failed>(waiting);
  CHECK(refused.code == errc::timed_out);
  CHECK(refused.text.find("nbdkit") != std::string::npos);
  tool.ask<wire::created>(create_of("b", "s"));  // nobody wrote that one
  const auto request = tool.send(create_of("a", "s"));
  test_client flusher(server, 2);
  flusher.tell(wire::freeze_answer{flusher.pushed<wire::freeze>()->barrier});
  tool.take<wire::created>(request);
  server.restart();
  CHECK_FALSE(server.engine->volumes().begin()->second.unflushed);
}
