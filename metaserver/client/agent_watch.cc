// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/client/agent_watch.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace csnap::client {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds reconnect_min{100}, reconnect_max{1000};
constexpr milliseconds answer_patience{5000};

}  // namespace

agent_watch::agent_watch(boost::asio::io_context &io, agent_options options, events e)
    : io_(io), options_(std::move(options)), events_(std::move(e)), retry_(io), pause_(reconnect_min) {
  connect();
}

agent_watch::~agent_watch() {
  if (stream_) stream_->close();
  (void)retry_.cancel();
}

void agent_watch::connect() {
  stream_ = std::make_shared<agent_stream>(
      io_, agent_stream::events{[this](const wire::agent::message &what) { received(what); },
                                [this](const error &why) { again(why); }});
  stream_->expect_message(answer_patience);
  stream_->connect(options_.path);
  stream_->send(wire::agent::watch{options_.instance, options_.store});
}

void agent_watch::received(const wire::agent::message &what) {
  if (std::holds_alternative<wire::agent::watching>(what)) {
    pause_ = reconnect_min;
  } else if (const auto *at = std::get_if<wire::agent::server_at>(&what)) {
    const auto where = parse_endpoint(at->address);
    if (where) events_.server_at({at->term_counter, at->term_node}, *where);
    else events_.trouble(where.error());
  } else if (std::holds_alternative<wire::agent::server_gone>(what)) {
    events_.server_gone();
  } else {
    const auto *no = std::get_if<wire::agent::refused>(&what);
    stream_->close();
    again(no != nullptr ? fail(no->code, "the agent at " + options_.path + ": " + no->text)
                        : fail(errc::invalid, "the agent gave an answer of another kind"));
  }
}

void agent_watch::again(const error &why) {
  retry_.expires_after(pause_);
  pause_ = std::min(pause_ * 2, reconnect_max);
  retry_.async_wait([this](const boost::system::error_code &cancelled) {
    if (!cancelled) connect();
  });
  events_.trouble(why);
}

result<wire::agent::message> ask_agent(const std::string &path, const wire::agent::message &question,
                                       milliseconds timeout) {
  boost::asio::io_context io(1);
  std::optional<result<wire::agent::message>> outcome;
  const auto stream = std::make_shared<agent_stream>(
      io, agent_stream::events{[&](const wire::agent::message &what) { outcome = what; },
                               [&](const error &why) { outcome = why; }});
  stream->connect(path);
  stream->send(question);
  const auto deadline = steady_clock::now() + timeout;
  while (!outcome && steady_clock::now() < deadline) (void)io.run_one_until(deadline);
  stream->close();
  (void)io.poll();  // what Asio still holds ends here
  if (!outcome) return fail(errc::timed_out, "the agent at " + path + " does not answer");
  if (!*outcome) return *outcome;
  if (const auto *no = std::get_if<wire::agent::refused>(&**outcome)) return fail(no->code, no->text);
  return *outcome;
}

result<endpoint> find_by_agent(const agent_options &options, milliseconds timeout) {
  boost::asio::io_context io(1);
  std::optional<result<endpoint>> outcome;
  std::string reason = "no master is known to the agent";
  {
    const agent_watch watch(io, options,
                            {[&](term_id, const endpoint &where) { outcome = where; },
                             [&] { reason = "no master is known to the agent"; },
                             [&](const error &why) {
                               reason = why.text;
                               // An agent that is away may come; what one has said does not change by waiting.
                               if (why.code != errc::io && why.code != errc::timed_out) outcome = why;
                             }});
    const auto deadline =
        timeout.count() == 0 ? steady_clock::time_point::max() : steady_clock::now() + timeout;
    const auto step = milliseconds(1000);
    while (!outcome && steady_clock::now() < deadline)
      (void)io.run_one_until(std::min(deadline, steady_clock::now() + step));
  }
  (void)io.poll();
  if (!outcome) return fail(errc::timed_out, "no server was found in time: " + reason);
  return *outcome;
}

}  // namespace csnap::client
