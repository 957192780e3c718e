// SPDX-License-Identifier: BSD-3-Clause
//
// Orders to this very server, from its control socket. The answer to each is the server's state, as it is
// after the order was carried out, or one line that says why it was not.
#include "metaserver/server/index_inspection.h"
#include "metaserver/server/metaserver.h"

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include <charconv>
#include <chrono>
#include <memory>

namespace csnap::server {
namespace {

// Where to promote first. Every standby reads the same store and would replay the same log, so all that can
// read it are equal; who is the master already keeps its place. Who cannot read the store answers an error.
constexpr int score_of_standby = 10, score_of_master = 20;

constexpr std::uint32_t inspection_seconds_max = 3600;

void nothing_more() {}

}  // namespace

void metaserver::ordered(const std::string &line, const control_socket::reply &answer) {
  const auto blank = line.find(' ');
  const std::string word = line.substr(0, blank);
  const std::string rest = blank == std::string::npos ? std::string() : line.substr(blank + 1);
  if (word == "role" && rest.empty()) return answer(own_state(), nothing_more);
  if (word == "verify" && rest.empty()) return verify(answer);
  if (word == "promote" && (rest.empty() || rest == "proven")) return promote(!rest.empty(), answer);
  if (word == "demote" && rest.empty()) return demote(answer);
  if (word == "fence-confirm" && !rest.empty()) return fence_confirm(rest, answer);
  std::uint32_t seconds = 0;
  const auto [end, wrong] = std::from_chars(rest.data(), rest.data() + rest.size(), seconds);
  const bool is_number = wrong == std::errc{} && end == rest.data() + rest.size();
  if (word == "inspect" && is_number && seconds <= inspection_seconds_max) return inspect(seconds, answer);
  answer("failed this order is not known; is the tool of another version?", nothing_more);
}

std::string metaserver::own_state() const {
  const store::master_record &known = standby_->known_master();
  const nlohmann::json state = {{"role", master_ ? "master" : "standby"},
                                {"node", options_.node},
                                {"store", csnap::to_text(shape_.store)},
                                {"address", address()},
                                {"term", csnap::to_text(master_ ? master_->term() : known.term)},
                                {"master", master_ ? address() : known.address},
                                {"score", master_ ? score_of_master : score_of_standby}};
  return "ok " + state.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string metaserver::status_line() const {
  const store::master_record &known = standby_->known_master();
  if (!master_)
    return "standby" + (known.address.empty() ? std::string() : "; the master is at " + known.address);
  const std::size_t sessions = master_->sessions().size();
  return "master in term " + csnap::to_text(master_->term()) + ", " + std::to_string(sessions) +
         (sessions == 1 ? " session" : " sessions");
}

void metaserver::verify(const control_socket::reply &answer) {
  const auto newest = store::read_master(*metadata_, shape_);
  if (!newest) return answer("failed the store cannot be read: " + newest.error().text, nothing_more);
  if (master_ && newest->term > master_->term())
    stop_at_once("this server is not the master any more",
                 fail(errc::stale, "the store is in term " + csnap::to_text(newest->term)));
  standby_->learn(*newest);
  answer(own_state(), nothing_more);
}

// In steps between which requests are served.
void metaserver::inspect(std::uint32_t seconds, const control_socket::reply &answer) {
  if (!master_) return verify(answer);
  const auto inspection = std::make_shared<index_inspection>(master_->engine());
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  const auto go_on = std::make_shared<std::function<void()>>();
  *go_on = [this, answer, inspection, until, weak = std::weak_ptr(go_on)] {
    const bool finished = inspection->step();
    if (inspection->finding())
      return answer("failed the index is not consistent: " + *inspection->finding(), nothing_more);
    if (finished || std::chrono::steady_clock::now() >= until) return verify(answer);
    boost::asio::post(io_, [again = weak.lock()] { (*again)(); });
  };
  (*go_on)();
}

void metaserver::promote(bool proven, const control_socket::reply &answer) {
  if (!told_)
    return answer("failed this server's election is not 'pacemaker': it elects by itself", nothing_more);
  if (!master_)
    if (const auto promoted = told_->promote(); !promoted)
      return answer("failed " + promoted.error().text, nothing_more);
  // Whoever elects lets nobody else be the master until this one is gone: so what was known when it gave the order is
  // still true now that the term is in the store.
  if (proven) master_->predecessors_died();
  answer(own_state(), nothing_more);
}

// A master never becomes a standby again in the same process: nothing of what it knew may be believed later.
// When the last checkpoint is durable this process writes nothing any more; then it says so, and ends.
void metaserver::demote(const control_socket::reply &answer) {
  if (!told_)
    return answer("failed this server's election is not 'pacemaker': stop it, and another one takes over",
                  nothing_more);
  if (!master_) return answer(own_state(), nothing_more);
  log(log_level::info, "demoted; stopping");
  finish_and_then([this, answer] { answer("ok {\"role\":\"ended\"}", [this] { io_.stop(); }); });
}

void metaserver::fence_confirm(const std::string &node, const control_socket::reply &answer) {
  if (!master_) return answer("failed this server is a standby: say it to the master", nothing_more);
  if (const auto done = proof_->confirm(node, master_->sessions()); !done)
    return answer("failed " + done.error().text, nothing_more);
  answer(own_state(), nothing_more);
}

}  // namespace csnap::server
