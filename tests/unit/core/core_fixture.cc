// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core/core_fixture.h"

#include "metaserver/base/check.h"

#include <stdexcept>

namespace csnap::test {

namespace {

template <class T>
T must(result<T> r) {
  if (!r) throw std::runtime_error(r.error().text);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

}  // namespace

test_server::test_server(std::vector<std::string> planted, std::size_t reap_batch, std::uint64_t device_bytes)
    : device_(device_bytes), planted_(std::move(planted)), reap_batch_(reap_batch) {
  store::format_request request;
  request.store.bytes[0] = std::byte{7};
  request.chunk_bytes = test_chunk_bytes;
  request.node_count = 1;
  request.values.longest_lease_ms = 0;
  for (const char *name : {"a", "b"}) request.origins.push_back({name, "/dev/x", test_volume_chunks * 4096});
  must(store::format_store(device_, nullptr, request));
  start();
}

void test_server::start() {
  store::engine_options options;
  options.cache_bytes = 4u << 20;
  engine = must(store::engine::take_over(device_, options));
  core::core_options with;
  with.random = [this] { return 0x9e3779b97f4a7c15u * ++random_; };
  with.unix_ms = [] { return std::int64_t{1700000000000}; };
  with.planted = planted_;
  with.measure_store = [this]() -> result<std::uint64_t> { return device_.size_bytes(); };
  with.reap_batch = reap_batch_;
  core = std::make_unique<core::server_core>(*engine, with, now);
  collect();
}

void test_server::restart() {
  for (std::uint64_t c = 1; c <= last_connection_; ++c)
    hung_up.emplace(core::connection_id{c}, "server died");
  inbox.clear();
  core.reset();
  engine.reset();
  device_.settle();
  start();
}

void test_server::collect() {
  for (auto &out : core->take_outputs()) {
    if (auto *s = std::get_if<core::send>(&out)) inbox[s->to].push_back(std::move(s->what));
    else if (auto *h = std::get_if<core::hang_up>(&out)) hung_up[h->who] = h->reason;
    else if (auto *w = std::get_if<core::watch_process>(&out)) watched.push_back(*w);
    else if (auto *e = std::get_if<core::stop_serving>(&out)) stopped.push_back(e->why);
    else if (auto *l = std::get_if<core::log_line>(&out); l && l->warning) warnings.push_back(l->text);
  }
  if (durable_at_once && stopped.empty()) make_durable();
}

void test_server::make_durable() {
  while (auto batch = engine->take_log_batch()) {
    must(store::run_writes(device_, batch->writes, durability::durable));
    engine->log_batch_durable();
    core->records_durable(engine->last_durable(), now);
    const bool again = std::exchange(durable_at_once, false);
    collect();
    durable_at_once = again;
  }
  checkpoint_if_due();
}

void test_server::checkpoint_if_due() {
  if (!engine->checkpoint_is_due() && engine->has_room()) return;
  const auto pages = must(engine->take_checkpoint());
  must(store::run_writes(device_, pages.writes, durability::cached));
  must(device_.flush());
  must(store::run_writes(device_, engine->take_root().writes, durability::durable));
  engine->checkpoint_done();
}

void test_server::deliver(core::connection_id from, wire::envelope what) {
  if (hung_up.contains(from)) return;
  core->handle_message(from, what, now);
  collect();
}

void test_server::lose(core::connection_id who) {
  hung_up.emplace(who, "lost");
  inbox.erase(who);
  core->connection_lost(who, now);
  collect();
}

void test_server::tick() {
  core->tick(now);
  collect();
}

void test_server::advance(std::int64_t ms) {
  now.value += ms;
  tick();
}

void test_server::died(session_id session) {
  core->session_died(session, now);
  collect();
}

test_client::test_client(test_server &server, std::uint32_t pid, wire::client_role role) : server_(server) {
  greeting.role = role;
  greeting.secret.bytes[0] = static_cast<std::byte>(pid);
  greeting.node = "node" + std::to_string(pid);
  greeting.pid = pid;
  greeting.io_ends_with_process = true;
  const auto request = hello();
  if (server.durable_at_once) session = take<wire::welcome>(request).session;
}

std::uint64_t test_client::hello() {
  connection = server_.connect();
  greeting.resume = session;
  return send(greeting);
}

std::uint64_t test_client::send(wire::message what) {
  server_.deliver(connection, {++last_request_, {}, std::move(what)});
  return last_request_;
}

void test_client::tell(wire::message what) { server_.deliver(connection, {0, {}, std::move(what)}); }

std::optional<wire::message> test_client::answer(std::uint64_t request) {
  auto &in = server_.inbox[connection];
  for (auto at = in.begin(); at != in.end(); ++at) {
    if (at->request != request) continue;
    auto out = std::move(at->body);
    in.erase(at);
    return out;
  }
  return {};
}

unique_id request_id() {
  static std::uint64_t last = 0;
  unique_id out;
  ++last;
  for (std::size_t i = 0; i < 8; ++i) out.bytes[i] = static_cast<std::byte>(last >> (8 * i));
  return out;
}

wire::create create_of(const std::string &volume, const std::string &snapshot) {
  return {request_id(), 0, {{volume, snapshot}}};
}

wire::remove remove_of(const std::string &volume, const std::string &snapshot) {
  return {request_id(), {volume, snapshot}};
}

wire::commit commit_of(const wire::volume_opened &volume, const wire::reserved &from, std::uint64_t chunk,
                       std::uint64_t nth) {
  return {volume.id, volume.epoch, {{chunk_no{chunk}, from.id, store_chunk{from.first.value + nth}}}};
}

}  // namespace csnap::test
