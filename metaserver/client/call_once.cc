// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/check.h"
#include "metaserver/client/client_runtime.h"
#include "metaserver/client/link.h"
#include "metaserver/wire/frame.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace csnap::client {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds welcome_patience{3000};
constexpr milliseconds pause_min{10}, pause_max{500};
constexpr std::uint64_t hello_id = 1, request_id = 2;

// One connection: hello, request, answer. All in the caller's thread.
class attempt {
 public:
  attempt(const endpoint &where, const wire::message &request) : request_(request) {
    connection_ = std::make_shared<link>(io_, link::events{[this] { say(hello_id, hello()); },
                                                           [this](const wire::envelope &e) { received(e); },
                                                           [] {}, [this](const error &e) { end(e); }});
    connection_->open(where);
  }
  // Errors: those of the connection; timed_out.
  result<answer> run(steady_clock::time_point deadline) {
    const auto welcomed_by = std::min(deadline, steady_clock::now() + welcome_patience);
    while (!outcome_) {
      const auto until = is_welcome_ ? deadline : welcomed_by;
      if (steady_clock::now() >= until) break;
      (void)io_.run_one_until(until);
    }
    connection_->close();
    (void)io_.poll();  // what Asio still holds ends here, before this object
    if (!outcome_) return fail(errc::timed_out, "the server does not answer");
    return std::move(*outcome_);
  }

 private:
  static wire::message hello() {
    const machine_options self = describe_this_process();
    wire::hello h;
    h.node = self.node;
    h.boot = self.boot;
    h.pid = self.pid;
    h.process_start = self.process_start;
    h.secret = self.secret;
    return h;
  }
  void say(std::uint64_t id, const wire::message &what) {
    connection_->send({wire::encode_frame({id, {}, what})});
  }
  void received(const wire::envelope &e) {
    if (outcome_) return;
    if (e.request == hello_id && std::holds_alternative<wire::welcome>(e.body)) {
      is_welcome_ = true;
      say(request_id, request_);
    } else if (e.request == request_id || std::holds_alternative<wire::failed>(e.body)) {
      end(e.body);
    }
  }
  void end(result<answer> outcome) {
    if (!outcome_) outcome_ = std::move(outcome);
  }

  boost::asio::io_context io_{1};
  const wire::message &request_;
  std::shared_ptr<link> connection_;
  bool is_welcome_ = false;
  std::optional<result<answer>> outcome_;
};

}  // namespace

server_source in_turn(std::vector<endpoint> servers) {
  check(!servers.empty(), "a client needs an endpoint");
  server_source source;
  source.named = servers;
  source.next = [servers = std::move(servers), at = std::size_t{0}](steady_clock::time_point) mutable {
    return result<endpoint>(servers[at++ % servers.size()]);
  };
  return source;
}

server_source of_agent(agent_options agent) {
  server_source source;
  source.next = [agent = std::move(agent)](steady_clock::time_point deadline) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    return find_by_agent(agent, std::max(left, milliseconds{1}));
  };
  return source;
}

result<answer> call_once(const server_source &servers, const wire::message &request, milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  std::string reason = "no server was tried";
  milliseconds pause = pause_min;
  std::optional<endpoint> hint;
  int hints = 0;
  const std::size_t round = std::max<std::size_t>(servers.named.size(), 1);
  for (std::size_t next = 0; steady_clock::now() < deadline;) {
    endpoint where;
    if (hint) {
      where = *std::exchange(hint, std::nullopt);
    } else {
      auto found = servers.next(deadline);
      if (!found)
        return next == 0 ? found.error() : fail(found.error().code, found.error().text + "; last: " + reason);
      where = std::move(*found);
      ++next;
    }
    auto got = attempt(where, request).run(deadline);
    const bool is_last = steady_clock::now() >= deadline;
    if (got) {
      const auto *f = std::get_if<wire::failed>(&*got);
      if (f == nullptr) return got;
      if (f->code != errc::not_master && f->code != errc::shutting_down) return fail(f->code, f->text);
      reason = where.text() + ": " + f->text;
      if (const auto there = parse_endpoint(f->address);
          there && may_follow(*there, servers.named) && ++hints <= hints_in_a_row_max) {
        hint = *there;
        continue;
      }
    } else if (!is_last || next <= 1) {
      // What the last attempt had no time for says less than what the one before it met.
      reason = got.error().text;
    }
    hints = 0;
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
    std::this_thread::sleep_for(std::clamp(left, milliseconds{0}, pause));
    if (next % round == 0) pause = std::min(pause * 2, pause_max);
  }
  return fail(errc::timed_out, "no answer in time; last: " + reason);
}

}  // namespace csnap::client
