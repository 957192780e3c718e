// SPDX-License-Identifier: BSD-3-Clause
#include "agent/node_agent.h"

#include "agent/log.h"

#include <chrono>
#include <utility>

#include <unistd.h>

namespace csnap::agent {

namespace {

constexpr std::chrono::seconds first_message_within{10};

// Root, or whoever the agent runs as, may make it do something.
bool may_command(const struct ucred &who) { return who.uid == 0 || who.uid == ::geteuid(); }

wire::agent::refused not_allowed() {
  return {errc::refused, "only root, or the user that the agent runs as, may ask for this"};
}

}  // namespace

node_agent::node_agent(boost::asio::io_context &io, std::string socket_path,
                       std::vector<instance_options> instances)
    : io_(io),
      socket_path_(std::move(socket_path)),
      acceptor_(io),
      retry_(io),
      began_(client::boottime_now()) {
  for (auto &each : instances)
    instances_.push_back(std::make_unique<instance>(io, std::move(each), [this] { tell_all(); }));
}

result<std::unique_ptr<node_agent>> node_agent::start(boost::asio::io_context &io,
                                                      const std::string &socket_path,
                                                      std::vector<instance_options> instances) {
  std::unique_ptr<node_agent> made(new node_agent(io, socket_path, std::move(instances)));
  if (const auto done = made->listen(); !done) return done.error();
  made->accept_next();
  return made;
}

node_agent::~node_agent() { stop(); }

void node_agent::accept_next() {
  acceptor_.async_accept([this](const boost::system::error_code &failed, client::agent_stream::socket peer) {
    if (failed == boost::asio::error::operation_aborted) return;
    if (!failed) {
      accepted(std::move(peer));
      return accept_next();
    }
    // Out of descriptors: those who are connected are served, the rest waits in the backlog.
    log(urgency::warning, "cannot accept a connection: " + failed.message());
    retry_.expires_after(std::chrono::seconds(1));
    retry_.async_wait([this](const boost::system::error_code &cancelled) {
      if (!cancelled) accept_next();
    });
  });
}

void node_agent::accepted(client::agent_stream::socket peer) {
  local_client made;
  socklen_t size = sizeof made.who;
  const bool is_known = ::getsockopt(peer.native_handle(), SOL_SOCKET, SO_PEERCRED, &made.who, &size) == 0;
  if (!is_known || clients_.size() >= clients_max) return;  // those who are here keep their places
  const client_id id = ++last_client_;
  made.stream = std::make_shared<client::agent_stream>(
      std::move(peer),
      client::agent_stream::events{[this, id](const wire::agent::message &what) {
                                     local_client &asker = clients_.at(id);
                                     const auto stream = asker.stream;  // it may end in send()
                                     stream->send(answer(id, asker, what));
                                     if (const auto still = clients_.find(id); still != clients_.end())
                                       tell(still->second);
                                   },
                                   [this, id](const error &) { ended(id); }});
  made.stream->expect_message(first_message_within);
  made.stream->start();
  clients_.emplace(id, std::move(made));
}

void node_agent::ended(client_id id) {
  clients_.erase(id);
  for (const auto &each : instances_) each->announced().connection_ended(id);
}

wire::agent::message node_agent::answer(client_id id, local_client &asker, const wire::agent::message &what) {
  namespace wa = wire::agent;
  if (const auto *watch = std::get_if<wa::watch>(&what)) {
    const auto found = find(watch->instance, watch->store);
    if (!found) return wa::refused{found.error().code, found.error().text};
    asker.wants = *watch;
    asker.watches = *found;
    asker.was_told = false;
    return wa::watching{*found == nullptr ? std::string() : (*found)->name()};
  }
  if (const auto *word = std::get_if<wa::announce>(&what)) return announce(id, asker, *word);
  if (const auto *start = std::get_if<wa::instance_start>(&what))
    return start_instance(asker, start->instance);
  if (std::holds_alternative<wa::health>(what)) return wa::report{health()};
  return wa::refused{errc::invalid, std::string("'") + wa::message_name(what) + "' is no request"};
}

wire::agent::message node_agent::announce(client_id id, const local_client &asker,
                                          const wire::agent::announce &what) {
  if (!may_command(asker.who)) return not_allowed();
  const auto found = find(what.instance, what.store);
  if (!found) return wire::agent::refused{found.error().code, found.error().text};
  if (*found == nullptr)
    return wire::agent::refused{errc::busy, "it is not known yet which instance this store is: try again"};
  (*found)->announced().said(id, {{what.term_counter, what.term_node}, what.address});
  return wire::agent::done{};
}

wire::agent::message node_agent::start_instance(const local_client &asker, const std::string &name) {
  if (!may_command(asker.who)) return not_allowed();
  const auto found = find(name, {});
  if (!found) return wire::agent::refused{found.error().code, found.error().text};
  if (const auto started = (*found)->server().start(); !started)
    return wire::agent::refused{started.error().code, started.error().text};
  return wire::agent::done{};
}

result<instance *> node_agent::find(const std::string &name, const unique_id &store) const {
  const bool any_store = store == unique_id{};
  std::string names;
  bool may_come = false;
  for (const auto &each : instances_) {
    names += (names.empty() ? "" : ", ") + each->name();
    if (!name.empty() && each->name() != name) continue;
    if (any_store && name.empty() && instances_.size() > 1) continue;
    if (any_store || each->store() == store) return each.get();
    if (each->store() && !name.empty())
      return fail(errc::invalid,
                  "instance " + name + " is store " + to_text(*each->store()) + ", not " + to_text(store));
    if (!each->store() && !name.empty()) return each.get();
    may_come = may_come || !each->store();
  }
  if (may_come) return nullptr;
  if (any_store && name.empty())
    return fail(errc::invalid, "there are several instances, name one of " + names);
  return fail(errc::not_found,
              (name.empty() ? "no instance is store " + to_text(store) : "no instance '" + name + "'") +
                  ": the agent knows " + names);
}

// At most one word for each change, and one at once for who has just asked.
void node_agent::tell(local_client &whom) {
  if (!whom.wants) return;
  if (whom.watches == nullptr) {
    const auto found = find(whom.wants->instance, whom.wants->store);
    if (found) whom.watches = *found;
  }
  const auto master = whom.watches == nullptr ? std::optional<master_at>() : whom.watches->master();
  if (whom.was_told && whom.told == master) return;
  whom.was_told = true;
  whom.told = master;
  const auto stream = whom.stream;  // a send that fails ends this client
  if (master) stream->send(wire::agent::server_at{master->term.counter, master->term.node, master->address});
  else stream->send(wire::agent::server_gone{});
}

void node_agent::tell_all() {
  std::vector<client_id> all;  // telling may end a client
  for (const auto &[id, each] : clients_) all.push_back(id);
  for (const client_id id : all)
    if (const auto found = clients_.find(id); found != clients_.end()) tell(found->second);
}

}  // namespace csnap::agent
