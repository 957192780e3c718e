// SPDX-License-Identifier: BSD-3-Clause
//
// What every fuzz target defines: bytes from an attacker or a rotten disk. It may refuse them; it may not
// crash, and what it accepts must survive being written and read again. Linked with libFuzzer by scripts/fuzz,
// with replay_main.cc in the test suite.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size);
