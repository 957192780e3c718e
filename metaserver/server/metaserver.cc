// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/server/metaserver.h"

#include "metaserver/base/check.h"
#include "metaserver/client/client_runtime.h"
#include "metaserver/election/corosync_election.h"
#include "metaserver/election/file_election.h"
#include "metaserver/server/status_page.h"

#include <csignal>
#include <utility>

namespace csnap::server {
namespace {

namespace asio = boost::asio;
using store::device_role;

bool is_nbd(const std::string &where) { return where.find("://") != std::string::npos; }

std::string name_of(core::connection_id who) { return "connection " + std::to_string(who.value); }

// A store in two parts has its uuid on both: a wrong pair would be served with the wrong data.
result<> check_data_device(const std::string &where, const store::geometry &shape) {
  auto data = open_device(where, {.read_only = true});
  if (!data) return data.error();
  const auto label = store::read_label(**data);
  if (!label) return fail(label.error().code, where + ": " + label.error().text);
  if (label->role != device_role::data || label->shape.store != shape.store)
    return fail(errc::invalid,
                where + " is not the data device of the store whose metadata was named: check both names");
  return {};
}

}  // namespace

result<std::unique_ptr<metaserver>> metaserver::start(asio::io_context &io, server_options options) {
  std::unique_ptr<metaserver> made(new metaserver(io, std::move(options)));
  for (const auto step :
       {&metaserver::open_store, &metaserver::open_election, &metaserver::listen, &metaserver::open_control})
    if (const result<> done = (*made.get().*step)(); !done) return done.error();

  metaserver &self = *made;
  self.standby_ = std::make_unique<standby>(*self.metadata_, self.shape_, self.address());
  self.signals_.add(SIGTERM);
  self.signals_.add(SIGINT);
  self.signals_.async_wait([&self](const boost::system::error_code &failed, int number) {
    if (!failed) self.stop(number);
  });
  for (const auto &each : self.listeners_) each->start();
  if (self.control_) self.control_->start();
  self.election_->acquire(
      {[&self](std::uint64_t counter) { self.elected(counter); },
       [](const std::string &why) { stop_at_once("this server is not elected", fail(errc::io, why)); },
       [&self](const std::string &address, term_id term) {
         store::master_record said;
         said.address = address;
         said.term = term;
         self.standby_->learn(std::move(said));
       }});
  return made;
}

metaserver::~metaserver() = default;

result<> metaserver::open_store() {
  auto opened = open_device(metadata_name());
  if (!opened) return opened.error();
  metadata_ = std::move(*opened);
  const auto label = store::read_label(*metadata_);
  if (!label && label.error().code == errc::not_found)
    return fail(errc::not_found, metadata_name() + " holds no csnap store: make one with 'csnap format'");
  if (!label) return fail(label.error().code, metadata_name() + ": " + label.error().text);
  shape_ = label->shape;
  if (label->role == device_role::data)
    return fail(errc::invalid,
                metadata_name() + " holds a store's data only: name its metadata with --metadata");
  if (label->role == device_role::combined && !options_.metadata.empty())
    return fail(errc::invalid,
                metadata_name() + " is a whole store by itself: name it with --store, without --metadata");
  if (label->role == device_role::metadata && options_.metadata.empty())
    return fail(errc::invalid, metadata_name() +
                                   " holds a store's metadata only: name it with --metadata, and the "
                                   "data device with --store");
  if (options_.node >= shape_.node_count)
    return fail(errc::invalid, "--node " + std::to_string(options_.node) +
                                   " is too high: the store was made for " +
                                   std::to_string(shape_.node_count) + " nodes, numbered from 0");
  if (label->role == device_role::metadata) return check_data_device(options_.store, shape_);
  return {};
}

// The lock is on what two masters would both write: the metadata.
result<> metaserver::open_election() {
  if (options_.election == election_engine::pacemaker) return open_told_election();
  if (options_.election == election_engine::corosync) return open_corosync();
  const bool remote = is_nbd(metadata_name());
  if (remote && options_.lock.empty())
    return fail(errc::invalid, metadata_name() +
                                   " cannot be locked: name a file for the master's lock with --lock, "
                                   "the same for every server of this store");
  if (!remote && !options_.lock.empty())
    return fail(errc::invalid,
                "--lock is for stores that are NBD exports; the lock of this one is on the store itself");
  auto lock = store_lock::open(remote ? options_.lock : metadata_name(), remote);
  if (!lock) return lock.error();
  election_ = std::make_unique<file_election>(io_, std::move(*lock));
  return {};
}

result<> metaserver::open_told_election() {
  if (options_.control.empty())
    return fail(errc::invalid,
                "--election pacemaker needs --control PATH, where the server is told its role");
  if (!options_.lock.empty())
    return fail(errc::invalid, "--lock is for --election file: here the cluster manager elects");
  std::optional<store_lock> lock;
  if (!is_nbd(metadata_name())) {
    auto opened = store_lock::open(metadata_name(), false);
    if (!opened) return opened.error();
    lock.emplace(std::move(*opened));
  }
  auto made = std::make_unique<told_election>(std::move(lock));
  told_ = made.get();
  election_ = std::move(made);
  return {};
}

// One group for each store: servers of different stores elect apart.
result<> metaserver::open_corosync() {
  if (!options_.lock.empty())
    return fail(errc::invalid, "--lock is for --election file: here the group of servers elects");
  auto opened = open_corosync_election(io_, "csnap " + csnap::to_text(shape_.store));
  if (!opened) return opened.error();
  election_ = std::move(*opened);
  return {};
}

result<> metaserver::open_control() {
  if (options_.control.empty()) return {};
  auto opened = control_socket::open(
      io_, options_.control,
      [this](const std::string &line, const control_socket::reply &answer) { ordered(line, answer); });
  if (!opened) return opened.error();
  control_ = std::move(*opened);
  return {};
}

result<> metaserver::listen() {
  for (const client::endpoint &where : options_.listen) {
    auto opened = listener::open(
        io_, where, [this](connection::socket peer) { accepted(std::move(peer)); }, options_.insecure);
    if (!opened) return opened.error();
    listeners_.push_back(std::move(*opened));
  }
  if (address().size() > wire::address_max)
    return fail(errc::invalid, "the first --listen is too long to be told to clients");
  for (const auto &each : listeners_) log(log_level::info, "listening on " + each->where().text());
  return options_.http ? listen_http() : result<>();
}

result<> metaserver::listen_http() {
  auto opened = http_listener::open(io_, *options_.http, [this](std::string_view path) {
    if (!master_) return status_page(path, nullptr);
    const master_view view = master_->view();
    return status_page(path, &view);
  });
  if (!opened) return opened.error();
  http_ = std::move(*opened);
  log(log_level::info, "serving HTTP on " + http_->address());
  return {};
}

void metaserver::accepted(connection::socket peer) {
  const core::connection_id id{++last_connection_.value};
  if (connections_.size() >= options_.connections_max)  // those who are here keep their places
    return peer_log_.warn(
        name_of(id) + " refused: " + std::to_string(connections_.size()) + " are open already",
        client::boottime_now().value);
  connection_owner &owner = *this;
  const auto made = std::make_shared<connection>(id, std::move(peer), options_.limits, owner);
  connections_.emplace(id, made);
  made->start();
}

void metaserver::elected(std::uint64_t term_counter) {
  store::engine_options how;
  how.node = options_.node;
  how.cache_bytes = options_.cache_bytes;
  how.election_counter = term_counter;
  how.address = address();
  how.predecessors_dead = !election_->can_split();  // `file`: the lock is free because its holder is gone
  auto engine = store::engine::take_over(*metadata_, how);
  if (!engine) stop_at_once("taking the store over failed", engine.error());
  master_options options;
  options.about.store = options_.store;
  options.about.metadata = options_.metadata;
  options.about.address = address();
  options.about.node = options_.node;
  options.election_can_split = election_->can_split();
  proof_.emplace(io_, options_.proof, client::describe_this_process().node,
                 [this](const std::vector<session_id> &dead) { master_->sessions_died(dead); });
  options.more_conditions = [this](const std::vector<core::session_status> &sessions) {
    return proof_->conditions(sessions);
  };
  if (!is_nbd(
          options_.store))  // an export keeps the size that its connection began with, in every nbdkit too
    options.measure_store = [where = options_.store]() -> result<std::uint64_t> {
      const auto device = open_device(where, {.read_only = true});
      if (!device) return device.error();
      return (*device)->size_bytes();
    };
  around_.emplace(io_, !election_->can_split());
  peers &others = *this;
  master_ = std::make_unique<master>(*around_, std::move(*engine), *metadata_, others, std::move(options));
  if (!options_.agent.empty()) {
    wire::agent::announce word;
    word.store = shape_.store;
    word.term_counter = master_->term().counter;
    word.term_node = master_->term().node;
    word.address = address();
    announcer_.emplace(io_, options_.agent, std::move(word));
  }
  log(log_level::info,
      "master of store " + csnap::to_text(shape_.store) + " in term " + csnap::to_text(master_->term()));
  election_->announce(address(), master_->term());
  look_every_second();
}

void metaserver::look_every_second() {
  look_.expires_after(std::chrono::seconds(1));
  look_.async_wait([this](const boost::system::error_code &cancelled) {
    if (cancelled) return;
    // Only who is the master may have a node fenced.
    master_->prove([this] {
      proof_->look(
          master_->sessions(), [this] { return master_->sessions(); }, client::boottime_now().value);
    });
    look_every_second();
  });
}

bool metaserver::received(connection &from, const wire::envelope &what) {
  if (!master_) {
    if (const auto answer = standby_->answer(what, client::boottime_now())) from.send(*answer);
    return true;
  }
  if (master_->handle_message(from.id(), what)) return true;
  waiting_for_room_.push_back(from.id());
  return false;
}

void metaserver::room_again() {
  auto waiting = std::exchange(waiting_for_room_, {});
  while (!waiting.empty()) {
    const auto found = connections_.find(waiting.front());
    waiting.pop_front();
    if (found == connections_.end()) continue;
    const auto next = found->second;  // kept alive by us while it works
    next->resume();
  }
}

void metaserver::closed(connection &who, const std::string &fault) {
  if (!fault.empty()) peer_log_.warn(name_of(who.id()) + " closed: " + fault, client::boottime_now().value);
  connections_.erase(who.id());
  if (master_) master_->connection_lost(who.id());
}

void metaserver::send(core::connection_id to, const wire::envelope &what) {
  if (const auto found = connections_.find(to); found != connections_.end()) found->second->send(what);
}

void metaserver::hang_up(core::connection_id who, const std::string &reason) {
  const auto found = connections_.find(who);
  if (found == connections_.end()) return;
  log(log_level::info, name_of(who) + " ends: " + reason);
  found->second->close_when_sent();
}

void metaserver::stop(int signal_number) {
  log(log_level::info, "stopping on signal " + std::to_string(signal_number));
  finish_and_then([this] { io_.stop(); });
}

void metaserver::finish_and_then(std::function<void()> ended) {
  for (const auto &each : listeners_) each->stop();
  announcer_.reset();
  look_.cancel();
  if (!master_) {
    election_->release();
    return ended();
  }
  master_->finish([this, ended = std::move(ended)] {
    election_->release();
    log(log_level::info, "stopped; everything is in the store");
    ended();
  });
}

}  // namespace csnap::server
