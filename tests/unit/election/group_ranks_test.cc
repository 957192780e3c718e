// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/election/group_ranks.h"

#include <catch2/catch.hpp>

namespace csnap {
namespace {

constexpr std::int64_t silence_ms = 4000;
const group_member a{1, 10}, b{2, 10}, c{3, 10};

// Three members that hear the same.
struct group {
  group_ranks of_a{a}, of_b{b}, of_c{c};
  std::uint64_t rank_a = 0, rank_b = 0, rank_c = 0;

  void view(const std::vector<group_member> &members, std::int64_t now_ms = 0) {
    for (group_ranks *each : {&of_a, &of_b, &of_c}) each->new_view(members, now_ms);
  }
  void all_speak(const std::vector<group_member> &order, std::int64_t now_ms = 0) {
    for (const group_member &who : order)
      for (group_ranks *each : {&of_a, &of_b, &of_c})
        each->spoke(who, who == a ? rank_a : who == b ? rank_b : rank_c, now_ms);
    rank_a = of_a.own_rank(), rank_b = of_b.own_rank(), rank_c = of_c.own_rank();
  }
  bool all_choose(group_member whom) const {
    return of_a.oldest(silence_ms) == whom && of_b.oldest(silence_ms) == whom &&
           of_c.oldest(silence_ms) == whom;
  }
};

}  // namespace

TEST_CASE("group-ranks: who came first is the oldest, whatever its number") {
  group g;
  g.view({c});
  g.all_speak({c});
  CHECK(g.of_c.oldest(silence_ms) == c);
  g.view({a, c});
  CHECK_FALSE(g.of_a.oldest(silence_ms));  // before all have spoken
  g.all_speak({a, c});
  CHECK(g.all_choose(c));
  g.view({a, b, c});
  g.all_speak({b, c, a});
  CHECK(g.all_choose(c));
  SECTION("it leaves: the next in line") {
    g.view({a, b});
    g.all_speak({b, a});
    CHECK(g.of_a.oldest(silence_ms) == a);
    CHECK(g.of_b.oldest(silence_ms) == a);
  }
  SECTION("it leaves and comes back as a new member: the last in line") {
    g.view({a, b});
    g.all_speak({a, b});
    g.rank_c = 0;
    g.of_c = group_ranks(c);
    g.view({a, b, c});
    g.all_speak({c, b, a});
    CHECK(g.all_choose(a));
    CHECK(g.rank_c > g.rank_b);
  }
}

TEST_CASE("group-ranks: a member that is silent is passed over, and not for ever") {
  group g;
  g.view({a, b, c});
  g.all_speak({a, b, c});
  CHECK(g.all_choose(a));
  for (group_ranks *each : {&g.of_a, &g.of_b, &g.of_c}) {
    each->heard(b, silence_ms);
    each->heard(c, silence_ms);
  }
  CHECK(g.all_choose(b));
  for (group_ranks *each : {&g.of_a, &g.of_b, &g.of_c}) each->heard(a, silence_ms + 1);
  CHECK(g.all_choose(a));
}

TEST_CASE("group-ranks: a silent member that never spoke holds up nobody for longer than the silence") {
  group g;
  g.view({a, b, c});
  g.all_speak({b, c});
  CHECK_FALSE(g.of_b.oldest(silence_ms));
  g.of_b.heard(b, silence_ms);
  g.of_b.heard(c, silence_ms);
  CHECK(g.of_b.oldest(silence_ms) == b);
}

TEST_CASE("group-ranks: when the whole group is silent nobody is passed over, and a lost word is known") {
  group g;
  g.view({a, b, c});
  CHECK_FALSE(g.of_a.own_word_is_out());
  g.of_a.spoke(b, 0, 0);
  CHECK_FALSE(g.of_a.own_word_is_out());
  g.all_speak({a, b, c});
  CHECK(g.of_a.own_word_is_out());
  g.of_b.heard(c, silence_ms - 1);  // the last one that was heard, before a disturbance of any length
  CHECK(g.of_b.oldest(silence_ms) == a);
}

TEST_CASE("group-ranks: words of those who are no members, or said twice, change nothing") {
  group g;
  g.view({a, b});
  g.of_a.spoke(c, 7, 0);
  g.of_a.spoke(b, 2, 0);
  g.of_a.spoke(b, 0, 0);
  g.of_a.spoke(a, 3, 0);
  CHECK(g.of_a.oldest(silence_ms) == b);
}

}  // namespace csnap
