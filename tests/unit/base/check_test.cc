// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/check.h"

#include "metaserver/base/result.h"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

namespace csnap {
namespace {

// The signal that ends a child which runs `f`; 0 when it just returns.
template <class F>
int signal_of(const F &f) {
  const pid_t child = ::fork();
  if (child == 0) {
    (void)!std::freopen("/dev/null", "w", stderr);
    std::signal(SIGABRT, SIG_DFL);
    f();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("check: a broken promise of our own ends the process, in every build") {
  REQUIRE(signal_of([] { check(true); }) == 0);
  REQUIRE(signal_of([] { check(false, "planned"); }) == SIGABRT);
  REQUIRE(signal_of([] { unreachable(); }) == SIGABRT);
}

TEST_CASE("result: taking the value of an error ends the process") {
  const result<int> bad = fail(errc::io, "planned");
  REQUIRE_FALSE(bad.has_value());
  REQUIRE(bad.error().text == "planned");
  REQUIRE(signal_of([&] { (void)bad.value(); }) == SIGABRT);
  REQUIRE(signal_of([] { (void)result<int>(7).value(); }) == 0);
}

TEST_CASE("result: every code has a name of its own") {
  std::string seen = " ";
  for (unsigned short code = 1; code <= 14; ++code) {
    const std::string name = errc_name(static_cast<errc>(code));
    INFO(code << " " << name);
    REQUIRE_FALSE(name.empty());
    REQUIRE(seen.find(" " + name + " ") == std::string::npos);
    seen += name + " ";
  }
}

}  // namespace
}  // namespace csnap
