// SPDX-License-Identifier: BSD-3-Clause
//
// A program that goes on behind the command that started it, which returns when it says how its beginning went.
#pragma once

#include <functional>
#include <string>

namespace csnap::attach {

struct beginning {
  int exit_status = 0;
  std::string text;  // for standard output if all is well, else one line for standard error
};

// In the child, `work` runs; what it gives to its argument is returned here, in the parent. After that the child has
// no terminal, input or output any more.
beginning run_in_background(
    const std::function<void(const std::function<void(const beginning &)> &begun)> &work);

}  // namespace csnap::attach
