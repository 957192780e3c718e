// SPDX-License-Identifier: BSD-3-Clause
//
// What a client learns from its node's agent: where the master is, and each change of that. A lost agent is
// connected to again, for ever, 100 ms to 1 s apart; meanwhile the last word stands.
#pragma once

#include "metaserver/client/agent_stream.h"
#include "metaserver/client/endpoint.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace csnap::client {

// Which agent, and of which master. As `watch` of the protocol.
struct agent_options {
  std::string path;      // of its socket
  std::string instance;  // empty: by the store, or the only one
  unique_id store;
};

class agent_watch {
 public:
  struct events {
    std::function<void(term_id, const endpoint &)> server_at;
    std::function<void()> server_gone;
    // The agent is away, or knows no such instance (not_found, refused); a line for a person.
    std::function<void(const error &)> trouble;
  };
  // Begins at once. Single owner: the thread that runs `io`; destroyed by it, or when it has ended.
  agent_watch(boost::asio::io_context &io, agent_options options, events e);
  ~agent_watch();
  agent_watch(const agent_watch &) = delete;
  agent_watch &operator=(const agent_watch &) = delete;

 private:
  void connect();
  void received(const wire::agent::message &what);
  void again(const error &why);

  boost::asio::io_context &io_;
  const agent_options options_;
  const events events_;
  std::shared_ptr<agent_stream> stream_;
  boost::asio::steady_timer retry_;
  std::chrono::milliseconds pause_;
};

// One question to the agent and its answer, in the caller's thread. Errors: those of the connection;
// timed_out; a `refused` answer becomes the error that it holds.
result<wire::agent::message> ask_agent(const std::string &path, const wire::agent::message &question,
                                       std::chrono::milliseconds timeout);

// Waits for the master's address. `timeout` 0: for ever; but an agent that says that it has no such instance
// is believed at once. Errors: timed_out, not_found, refused, and others that the agent says.
result<endpoint> find_by_agent(const agent_options &options, std::chrono::milliseconds timeout);

}  // namespace csnap::client
