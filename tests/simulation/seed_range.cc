// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/seed_range.h"

#include "metaserver/base/check.h"
#include "tests/simulation/probes.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace csnap::simulation {

namespace probes {
std::uint64_t *counts = nullptr;
}

namespace {

constexpr std::uint64_t batch_seeds = 50;
constexpr time_t seconds_for_a_seed = 60;  // of CPU time: the machine may have other work

// What a child tells: in memory that it shares with its parent.
struct report {
  seed_totals totals;
  std::uint64_t probe_counts[probe_count];
  std::uint64_t seed;  // under way
  bool is_wrong, is_finished;
  char checker[64], text[512];
};

void put(char *to, std::size_t size, const std::string &text) {
  std::strncpy(to, text.c_str(), size - 1);
  to[size - 1] = 0;
}

void add(seed_totals &to, const verdict &v) {
  ++to.seeds;
  to.voids += v.is_void();
  to.events += v.events, to.operations += v.operations, to.crashes += v.crashes,
      to.power_cuts += v.power_cuts;
  to.elections += v.elections, to.freezes += v.freezes, to.snapshot_reads += v.snapshot_reads;
  to.snapshots += v.snapshots, to.errors += v.errors, to.limits += v.is_at_limit;
}

void add(seed_totals &to, const seed_totals &more) {
  to.seeds += more.seeds, to.voids += more.voids, to.replayed += more.replayed, to.events += more.events;
  to.operations += more.operations, to.crashes += more.crashes, to.power_cuts += more.power_cuts;
  to.elections += more.elections, to.freezes += more.freezes, to.snapshot_reads += more.snapshot_reads;
  to.snapshots += more.snapshots, to.errors += more.errors, to.limits += more.limits;
}

bool judge_seed(const range_request &request, std::uint64_t seed, report &out) {
  const run_options options = request.reduced.options(seed);
  out.seed = seed;
  const itimerval limit{{}, {seconds_for_a_seed, 0}};
  ::setitimer(ITIMER_PROF, &limit, nullptr);
  verdict v = run(options, request.bug, false);
  add(out.totals, v);
  if (!v.failed() && seed % 100 == 0) {
    ++out.totals.replayed;
    const verdict again = run(options, request.bug, false);
    if (again.hash != v.hash) v.checker = "replay", v.text = "the same seed ran differently";
  }
  if (!v.failed() && v.is_void() && request.reduced.arguments().empty())
    v.checker = "void", v.text = "nothing happened";
  if (!v.failed()) return true;
  out.is_wrong = true;
  put(out.checker, sizeof out.checker, v.checker);
  put(out.text, sizeof out.text, v.text);
  return false;
}

void run_batch(const range_request &request, std::uint64_t first, std::uint64_t end, report &out) {
  probes::counts = out.probe_counts;
  for (std::uint64_t seed = first; seed < end; ++seed)
    if ((!request.only || weather_of_seed(seed) == *request.only) && !judge_seed(request, seed, out)) break;
  out.is_finished = true;
  std::fflush(nullptr);
  ::_exit(0);
}

}  // namespace

range_result run_range(const range_request &request) {
  range_result result;
  struct child {
    report *told;
    std::uint64_t end;
  };
  std::map<pid_t, child> running;
  std::uint64_t next = request.first;
  const std::uint64_t end = request.first + request.count;
  const auto goes_on = [&] {
    return next < end && result.findings.size() < request.findings_max &&
           (!request.go_on || request.go_on(result.totals));
  };
  std::fflush(nullptr);
  while (goes_on() || !running.empty()) {
    while (running.size() < request.jobs && goes_on()) {
      void *memory =
          ::mmap(nullptr, sizeof(report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
      check(memory != MAP_FAILED, "no shared memory");
      report *told = new (memory) report{};
      const std::uint64_t stop = std::min(next + batch_seeds, end);
      const pid_t pid = ::fork();
      check(pid >= 0, "fork");
      if (pid == 0) run_batch(request, next, stop, *told);
      running.emplace(pid, child{told, stop});
      next = stop;
    }
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    const auto found = running.find(ended);
    if (found == running.end()) continue;
    const report &told = *found->second.told;
    add(result.totals, told.totals);
    for (std::size_t p = 0; p < probe_count; ++p) result.probes[p] += told.probe_counts[p];
    if (told.is_wrong) result.findings.push_back({told.seed, told.checker, told.text});
    else if (!told.is_finished)
      result.findings.push_back(
          {told.seed, "crash", WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "exit"});
    ::munmap(found->second.told, sizeof(report));
    running.erase(found);
  }
  std::sort(result.findings.begin(), result.findings.end(),
            [](const finding &a, const finding &b) { return a.seed < b.seed; });
  return result;
}

}  // namespace csnap::simulation
