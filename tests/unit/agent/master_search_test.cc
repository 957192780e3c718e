// SPDX-License-Identifier: BSD-3-Clause
//
// The search is driven by hand: its orders are looked at, time is a number. `round` plays the three sources of an
// agent: announcements, the record, a static list.
#include "agent/master_search.h"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace csnap;
using namespace csnap::agent;

namespace {

struct stage {
  master_search search{3};
  boottime_ms now{1000};
  std::vector<std::string> seen;  // the orders, in words

  void note() {
    for (const auto &order : search.take_orders()) {
      if (const auto *look = std::get_if<master_search::look>(&order))
        seen.push_back("look " + std::to_string(look->source));
      else if (const auto *probe = std::get_if<master_search::probe>(&order)) seen.push_back(probe->address);
      else seen.push_back(std::holds_alternative<master_search::ping>(order) ? "ping" : "hang up");
    }
  }
  std::vector<std::string> orders() {
    note();
    return std::exchange(seen, {});
  }
  void wait(std::int64_t ms) {
    now.value += ms;
    search.tick(now);
  }
  void says(std::size_t source, std::vector<master_at> what) { search.heard(source, std::move(what), now); }
  void answers(std::uint64_t term) { search.answered({term, 0}, now); }
  // A round that finds the record's master of this term.
  void settle(std::uint64_t term, const std::string &address) {
    search.tick(now);
    says(0, {});
    says(1, {{{term, 0}, address}});
    answers(term);
    REQUIRE(search.master() == master_at{{term, 0}, address});
    (void)orders();
  }
};

using words = std::vector<std::string>;

}  // namespace

TEST_CASE("master_search: sources are asked in their order, each candidate once, until a server answers") {
  stage s;
  s.search.tick(s.now);
  CHECK(s.orders() == words{"look 0"});
  s.says(0, {});
  CHECK(s.orders() == words{"look 1"});
  s.says(1, {{{4, 1}, "a"}});
  CHECK(s.orders() == words{"a"});
  s.search.failed(s.now);
  CHECK(s.orders() == words{"hang up", "look 2"});
  s.says(2, {{{}, "a"}, {{}, "b"}, {{}, "c"}});
  CHECK(s.orders() == words{"b"});  // not a again
  CHECK_FALSE(s.search.master());
  s.answers(5);
  CHECK(s.search.master() == master_at{{5, 0}, "b"});
  CHECK(s.orders().empty());
}

TEST_CASE("master_search: without a master it looks once a second, not sooner") {
  stage s;
  for (int i = 0; i < 5; ++i) {
    s.search.tick(s.now);
    CHECK(s.orders() == words{"look 0"});
    for (std::size_t source : {0u, 1u, 2u}) s.says(source, {});
    CHECK(s.orders() == words{"look 1", "look 2"});
    CHECK(s.search.next_tick(s.now) == boottime_ms{s.now.value + 1000});
    for (int part = 0; part < 9; ++part) s.wait(100);
    CHECK(s.orders().empty());
    s.now.value += 100;
  }
}

TEST_CASE("master_search: a living master is pinged and nothing else is done") {
  stage s;
  s.settle(3, "a");
  for (int i = 0; i < 10; ++i) {
    s.wait(1999);
    CHECK(s.orders().empty());
    s.wait(1);
    CHECK(s.orders() == words{"ping"});
    s.now.value += 500;
    s.answers(3);
  }
  CHECK(s.search.master());
}

TEST_CASE("master_search: a master that ends is looked for at once, then once a second") {
  stage s;
  s.settle(3, "a");
  s.wait(5000 - 3001);
  (void)s.orders();
  s.search.failed(s.now);
  CHECK_FALSE(s.search.master());
  CHECK(s.orders() == words{"hang up", "look 0"});
  s.says(0, {});
  s.says(1, {{{3, 0}, "a"}});
  s.search.failed(s.now);
  s.says(2, {});
  (void)s.orders();
  s.wait(999);
  CHECK(s.orders().empty());
  s.wait(1);
  CHECK(s.orders() == words{"look 0"});
}

TEST_CASE("master_search: a master that accepts and ends, again and again, is tried once a second") {
  stage s;
  int probes = 0;
  for (std::int64_t ms = 0; ms < 10000; ms += 10) {
    s.wait(10);
    for (const std::string &order : s.orders()) {
      if (order == "look 0") s.says(0, {});
      if (order == "look 1") s.says(1, {{{3, 0}, "a"}});
      if (order == "look 2") s.says(2, {{{}, "a"}});
      if (order == "a") {
        ++probes;
        s.answers(3);
        s.search.failed(s.now);
      }
    }
    for (const std::string &order : s.orders()) {
      if (order == "look 1") s.says(1, {{{3, 0}, "a"}});
      if (order == "a") ++probes, s.answers(3), s.search.failed(s.now);
    }
  }
  CHECK(probes >= 5);
  CHECK(probes <= 11);
}

TEST_CASE("master_search: a ping without an answer, a silent probe and a silent source are given up") {
  stage s;
  s.settle(3, "a");
  s.wait(2000);
  CHECK(s.orders() == words{"ping"});
  s.wait(2999);
  CHECK(s.search.master());
  s.wait(1);
  CHECK_FALSE(s.search.master());
  CHECK(s.orders() == words{"hang up", "look 0"});
  s.wait(3000);  // the engine says nothing
  CHECK(s.orders() == words{"look 1"});
  s.says(1, {{{3, 0}, "a"}});
  CHECK(s.orders() == words{"a"});
  s.wait(3000);
  CHECK(s.orders() == words{"hang up", "look 2"});
  s.says(0, {{{4, 0}, "b"}});  // late, but news
  s.says(2, {});
  CHECK(s.orders() == words{"b"});
}

TEST_CASE("master_search: a server of a lower term than was told is stale") {
  stage s;
  s.search.tick(s.now);
  s.says(0, {});
  s.says(1, {{{7, 1}, "new"}});
  s.search.failed(s.now);
  s.says(2, {{{}, "old"}});
  (void)s.orders();
  s.search.answered({6, 2}, s.now);
  CHECK_FALSE(s.search.master());
  CHECK(s.orders() == words{"hang up"});
}

TEST_CASE("master_search: a standby's hint is followed, a few times") {
  stage s;
  s.search.tick(s.now);
  s.says(0, {});
  s.says(1, {});
  s.says(2, {{{}, "standby"}});
  (void)s.orders();
  s.search.refused("b", s.now);
  CHECK(s.orders() == words{"hang up", "b"});
  s.search.refused("standby", s.now);  // each says that the other is
  CHECK(s.orders() == words{"hang up"});
  s.wait(1000);
  (void)s.orders();
  s.says(0, {});
  s.says(1, {{{5, 0}, "h0"}});
  for (int i = 1; i < 20; ++i) s.search.refused("h" + std::to_string(i), s.now);
  CHECK(s.orders().size() < 15);
}

TEST_CASE("master_search: who refuses may be of another store: its term hides no master") {
  stage s;
  s.search.tick(s.now);
  s.says(0, {});
  s.says(1, {{{8, 0}, "a"}});
  (void)s.orders();
  s.search.refused("a", s.now);
  (void)s.orders();
  s.search.answered({8, 0}, s.now);
  CHECK(s.orders().empty());  // it is not hung up
}

TEST_CASE("master_search: an announcement is believed at once, also over a master that seems to live") {
  stage s;
  s.settle(3, "a");
  s.says(0, {{{3, 0}, "a"}});
  CHECK(s.orders().empty());
  s.says(0, {{{4, 1}, "b"}});
  CHECK_FALSE(s.search.master());
  const auto orders = s.orders();
  CHECK(std::count(orders.begin(), orders.end(), "b") == 1);
  s.search.answered({4, 1}, s.now);
  CHECK(s.search.master() == master_at{{4, 1}, "b"});
}

TEST_CASE("master_search: what the engine takes back is gone, what it never said is not") {
  stage s;
  s.settle(3, "a");
  s.says(0, {{{3, 0}, "a"}});
  s.says(0, {});
  CHECK_FALSE(s.search.master());
  stage other;
  other.settle(3, "a");
  other.says(0, {});
  CHECK(other.search.master());
}

TEST_CASE("master_search: an announcement is tried although the same address was refused a moment ago") {
  stage s;
  s.search.tick(s.now);
  s.says(0, {});
  s.says(1, {});
  s.says(2, {{{}, "a"}});
  s.search.failed(s.now);
  (void)s.orders();
  s.says(0, {{{2, 0}, "a"}});  // not a second later
  CHECK(s.orders() == words{"a"});
}
