// SPDX-License-Identifier: BSD-3-Clause
//
// How often a quantity was at or below each of a few bounds: what Prometheus calls a histogram. Single owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace csnap {

class histogram {
 public:
  // Ascending; what is above all of them is only counted.
  histogram(std::initializer_list<double> bounds) : bounds_(bounds), counts_(bounds.size()) {}

  void observe(double value) {
    const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    if (bound != bounds_.end()) ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
    ++count_;
    sum_ += value;
  }
  const std::vector<double> &bounds() const { return bounds_; }
  // How many were above the bound before the i-th, and not above that.
  std::uint64_t count_of(std::size_t i) const { return counts_[i]; }
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace csnap
