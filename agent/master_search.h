// SPDX-License-Identifier: BSD-3-Clause
//
// Where the master of one store is: a state machine that knows no socket, clock or device. Sources (an election
// engine's announcements, the record on the store, a static list) say who may be the master; a probe, which is
// a connection that says hello, shows who is. While the probed master answers nothing is looked at; when it
// does not, a round begins: the sources in their order, each candidate once. Rounds that nothing new has caused
// are a second apart at least.
//
// A server whose term is below one that a source has told is stale, and is passed over.
#pragma once

#include "metaserver/base/ids.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace csnap::agent {

// Counter 0: the term is not known.
struct master_at {
  term_id term;
  std::string address;
  friend bool operator==(const master_at &, const master_at &) = default;
};

class master_search {
 public:
  // What the owner is to do. Every probe is answered by answered(), refused() or failed().
  struct look {
    std::size_t source;
  };  // -> heard()
  struct probe {
    std::string address;
  };               // replaces the probe before it
  struct ping {};  // over the connection of the last probe -> answered() or failed()
  struct hang_up {};
  using order = std::variant<look, probe, ping, hang_up>;

  static constexpr std::int64_t round_interval_ms = 1000;
  static constexpr std::int64_t patience_ms = 3000;       // with a source, a probe, a ping
  static constexpr std::int64_t ping_interval_ms = 2000;  // of a living master
  static constexpr int hints_per_round_max = 4;

  // Sources are numbered from 0, in the order in which they are asked.
  explicit master_search(std::size_t sources) : told_(sources) {}

  void tick(boottime_ms now);
  // A source's whole knowledge, best first, asked for or not. Empty: it knows of no master.
  void heard(std::size_t source, std::vector<master_at> candidates, boottime_ms now);
  void answered(term_id term, boottime_ms now);
  // Not the master; its word where the master is may be empty. It does not say of which store it is, so its term counts
  // for nothing.
  void refused(const std::string &hint, boottime_ms now);
  void failed(boottime_ms now);

  std::vector<order> take_orders() { return std::exchange(orders_, {}); }
  boottime_ms next_tick(boottime_ms now) const;
  // What clients are told.
  const std::optional<master_at> &master() const { return master_; }

 private:
  enum class phase : std::uint8_t { idle, looking, probing, living };

  void begin_round(boottime_ms now);
  void look_at(std::size_t source, boottime_ms now);
  void go_on(boottime_ms now);
  void add_candidates(const std::vector<master_at> &candidates);
  void lost(boottime_ms now);
  bool is_news(std::size_t source, const std::vector<master_at> &candidates) const;

  phase phase_ = phase::idle;
  std::vector<std::vector<master_at>> told_;  // by source: the last word
  std::optional<master_at> master_;
  term_id highest_;  // told by a source or a server
  // Of this round:
  std::optional<boottime_ms> round_began_;
  std::size_t source_ = 0;  // being asked, or the next to ask
  std::deque<std::string> candidates_;
  std::set<std::string> tried_;
  int hints_ = 0;
  std::string probed_;
  boottime_ms deadline_;  // looking, probing: of the answer; living: of the next ping or of its answer
  bool ping_is_out_ = false;
  std::vector<order> orders_;
};

}  // namespace csnap::agent
