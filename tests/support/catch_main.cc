// SPDX-License-Identifier: BSD-3-Clause
// Catch2 v2's main(), compiled once (it takes seconds).
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
