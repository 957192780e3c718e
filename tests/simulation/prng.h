// SPDX-License-Identifier: BSD-3-Clause
//
// The simulator's only source of chance. Own distributions, since those of the standard library differ between
// implementations; a stream for each part, so that one more draw in one does not shift the others.
#pragma once

#include <cstdint>
#include <string_view>

namespace csnap::simulation {

class prng {
 public:
  explicit prng(std::uint64_t seed = 0) : state_(seed) {}

  std::uint64_t next() {  // splitmix64
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 .. n - 1; n > 0.
  std::uint64_t below(std::uint64_t n) { return n >> 32 == 0 ? ((next() >> 32) * n) >> 32 : next() % n; }
  std::int64_t between(std::int64_t low, std::int64_t high) {  // both included
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  bool per_mille(std::uint64_t k) { return below(1000) < k; }
  template <class Container>
  auto &pick(Container &from) {
    return from[below(from.size())];
  }

  prng stream(std::string_view name) const {
    std::uint64_t h = state_ ^ 0xcbf29ce484222325u;
    for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    prng made(h);
    made.next();
    return made;
  }

 private:
  std::uint64_t state_;
};

}  // namespace csnap::simulation
