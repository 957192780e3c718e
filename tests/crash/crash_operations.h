// SPDX-License-Identifier: BSD-3-Clause
//
// One operation of each kind of record, on a small store in which every one of them can be done at least twice.
#pragma once

#include "tests/support/store_model.h"

#include <memory>
#include <optional>
#include <vector>

namespace csnap::test {

struct operation {
  const char *name;
  // None: it cannot be done in this state (any more).
  std::optional<store::record> (*make)(store::engine &e);
};
const std::vector<operation> &all_operations();

struct prepared_store {
  store::geometry shape;
  std::shared_ptr<const std::vector<std::byte>> bytes;
  store_model model;
};
prepared_store prepare_store();

}  // namespace csnap::test
