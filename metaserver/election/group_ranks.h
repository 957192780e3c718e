// SPDX-License-Identifier: BSD-3-Clause
//
// Who is the oldest member of a process group? Each view (change of members) everybody says its rank: 0 if it
// is new, else the number it was given once. All see the same words in the same order; when the last member of
// the view has spoken, the newcomers get the next numbers, in one order everywhere. Passive, no clock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace csnap {

using group_member = std::pair<std::uint32_t, std::uint32_t>;  // node, process

class group_ranks {
 public:
  explicit group_ranks(group_member self) : self_(self) {}

  // Others joined or left: everybody will speak again. Words of an earlier view do not count: their order
  // among the words of this view may differ.
  void new_view(const std::vector<group_member> &members, std::int64_t now_ms);
  void spoke(group_member who, std::uint64_t rank, std::int64_t now_ms);
  // It lives.
  void heard(group_member who, std::int64_t now_ms);

  // The oldest member, without those that were silent for `silence_ms` while others spoke. (When nobody is heard, it
  // is the group that is disturbed.) None before all have spoken.
  std::optional<group_member> oldest(std::int64_t silence_ms) const;
  // Has our own word of this view come back? It may have been lost on its way out.
  bool own_word_is_out() const;
  std::uint64_t own_rank() const { return own_rank_; }

 private:
  struct member {
    std::uint64_t rank{};  // 0: new, not numbered yet
    bool has_spoken{};
    std::int64_t heard_ms{};
  };
  bool all_spoke() const;

  group_member self_;
  std::map<group_member, member> members_;
  std::uint64_t own_rank_ = 0, next_rank_ = 1;
};

}  // namespace csnap
