// SPDX-License-Identifier: BSD-3-Clause
//
// One request to the master and its answer, as the type that the verb expects.
#pragma once

#include "metaserver/client/client_runtime.h"
#include "metaserver/wire/messages.h"

#include <chrono>
#include <string>
#include <variant>

namespace csnap::cli {

struct global_options {
  std::string server;           // --server, else CSNAP_SERVER
  std::string agent, instance;  // --agent, else CSNAP_AGENT
  bool json = false;
  std::uint32_t timeout_seconds = 30;
};

class master_call {
 public:
  master_call(client::server_source servers, const global_options &globals)
      : servers_(std::move(servers)), timeout_(globals.timeout_seconds * 1000) {}

  template <class Answer>
  result<Answer> ask(const wire::message &request) const {
    auto answered = client::call_once(servers_, request, timeout_);
    if (!answered) return answered.error();
    if (auto *refused = std::get_if<wire::failed>(&*answered))
      return fail(refused->code, std::move(refused->text));
    if (auto *expected = std::get_if<Answer>(&*answered)) return std::move(*expected);
    return fail(errc::invalid, "the server gave an answer of another kind: is it of another version?");
  }

 private:
  client::server_source servers_;
  std::chrono::milliseconds timeout_;
};

// Errors: invalid, which is wrong usage.
result<master_call> find_master(const global_options &globals);
// The path of the agent's socket. Errors: invalid.
result<std::string> agent_path(const global_options &globals);

}  // namespace csnap::cli
