// SPDX-License-Identifier: BSD-3-Clause
//
// What every back end must do, run on each of them.
#pragma once

#include "metaserver/base/block_device.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace csnap::test {

using bytes = std::vector<std::byte>;

inline bytes pattern(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  bytes out(size);
  for (auto &b : out) b = static_cast<std::byte>(random());
  return out;
}

// Random reads, writes, zeroes and trims at any offset, length and buffer alignment against a plain copy.
inline void check_against_copy(block_device &device, unsigned seed) {
  std::mt19937_64 random(seed);
  const std::size_t size = device.size_bytes();
  bytes copy(size), memory(size + 8);
  REQUIRE(device.read(0, copy));
  const auto span_of = [&](std::size_t most) {
    const std::size_t offset = random() % size;
    const std::size_t length = std::min<std::size_t>(size - offset, 1 + random() % most);
    return std::pair(random() % 2 ? offset & ~511ul : offset,
                     random() % 2 ? (length + 511) & ~511ul : length);
  };
  for (int i = 0; i < 400; ++i) {
    auto [offset, length] = span_of(i % 10 ? 6000 : size);
    length = std::min(length, size - offset);
    const auto how = random() % 8 ? durability::cached : durability::durable;
    const std::span buffer = std::span(memory).subspan(random() % 3 ? 0 : random() % 8, length);
    switch (random() % 5) {
      case 0:
      case 1: {
        const bytes data = pattern(length, static_cast<unsigned>(random()));
        std::memcpy(buffer.data(), data.data(), length);
        REQUIRE(device.write(offset, buffer, how));
        std::memcpy(copy.data() + offset, data.data(), length);
        break;
      }
      case 2:
        REQUIRE(device.zero(offset, length, random() % 2, how));
        std::memset(copy.data() + offset, 0, length);
        break;
      case 3:
        REQUIRE(device.read(offset, buffer));
        REQUIRE(std::memcmp(buffer.data(), copy.data() + offset, length) == 0);
        break;
      case 4:  // the trimmed range holds zeroes or what it held
        REQUIRE(device.trim(offset, length));
        REQUIRE(device.read(offset, buffer));
        for (std::size_t k = 0; k < length; ++k)
          if (buffer[k] != std::byte{0} && buffer[k] != copy[offset + k]) FAIL("trim left other bytes");
        std::memcpy(copy.data() + offset, buffer.data(), length);
        break;
    }
  }
  REQUIRE(device.flush());
  bytes last(size);
  REQUIRE(device.read(0, last));
  REQUIRE(last == copy);
}

inline void check_refuses_what_is_outside(block_device &device) {
  bytes two(2);
  const std::uint64_t size = device.size_bytes();
  for (const std::uint64_t offset : {size - 1, size, size + 1, ~std::uint64_t{0}}) {
    CHECK(device.read(offset, two).error().code == errc::invalid);
    CHECK(device.write(offset, two, durability::cached).error().code == errc::invalid);
    CHECK(device.zero(offset, 2, true, durability::cached).error().code == errc::invalid);
    CHECK(device.trim(offset, 2).error().code == errc::invalid);
  }
  CHECK(device.read(size, {}).has_value());
}

// 16 threads write, flush and read back ranges of their own, which share blocks at their odd borders.
inline void check_concurrent_neighbours(block_device &device) {
  constexpr unsigned threads = 16;
  const std::size_t part = device.size_bytes() / threads - 3;
  std::atomic<unsigned> wrong{0};
  std::vector<std::thread> all;
  for (unsigned t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      bytes back(part);
      for (unsigned round = 0; round < 20; ++round) {
        const bytes data = pattern(part, t * 1000 + round);
        if (!device.write(t * part, data, round % 5 ? durability::cached : durability::durable)) ++wrong;
        if (round % 4 == 0 && !device.flush()) ++wrong;
        if (!device.read(t * part, back) || back != data) ++wrong;
      }
    });
  for (auto &thread : all) thread.join();
  CHECK(wrong == 0);
}

}  // namespace csnap::test
