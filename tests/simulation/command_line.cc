// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/command_line.h"

#include "tests/simulation/seed_range.h"
#include "tests/simulation/shrink.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>

namespace csnap::simulation {
namespace {

struct wishes {
  std::uint64_t seed = 1, count = 0;
  unsigned jobs = 2;
  const planted_bug *bug = nullptr;
  reductions reduced;
  std::optional<weather> only;
  bool must_find = false;
  bool planted_all = false, shrinks = true, verbose = false, checks_probes = false;
  std::string seeds_file, only_planted, starts_file;
  double hours = 0;
  std::size_t findings_max = 1;
};

int usage() {
  std::fprintf(
      stderr,
      "usage: simulation [--seed N] [--count N] [--jobs N] [--findings N] [--check-probes] [--no-shrink]\n"
      "                  [--must-find]\n"
      "                  [--seeds FILE] [--hours H] [--planted NAME] [--planted-all [--starts FILE]] "
      "[--verbose]\n"
      "                  [--weather NAME] [--without FAULT] [--nodes N] [--servers N] [--volumes N] "
      "[--threads N]\n"
      "                  [--operations N] [--duration-ms N]\n"
      "one seed without --count: runs it alone and tells what it is made of\n");
  return 2;
}

std::string arguments_of(const wishes &w, std::uint64_t seed, const reductions &how) {
  return "simulation --seed " + std::to_string(seed) + (w.bug ? " --planted " + w.bug->name : "") +
         how.arguments();
}

void show(const seed_totals &t) {
  std::printf(
      "seeds %llu, replayed %llu, events %llu, operations %llu, crashes %llu, freezes %llu, power cuts %llu, "
      "elections %llu, snapshots %llu, snapshot reads %llu, errors seen %llu, ended at a known limit %llu",
      static_cast<unsigned long long>(t.seeds), static_cast<unsigned long long>(t.replayed),
      static_cast<unsigned long long>(t.events), static_cast<unsigned long long>(t.operations),
      static_cast<unsigned long long>(t.crashes), static_cast<unsigned long long>(t.freezes),
      static_cast<unsigned long long>(t.power_cuts), static_cast<unsigned long long>(t.elections),
      static_cast<unsigned long long>(t.snapshots), static_cast<unsigned long long>(t.snapshot_reads),
      static_cast<unsigned long long>(t.errors), static_cast<unsigned long long>(t.limits));
}

void show(const wishes &w, const finding &f) {
  std::printf("FOUND by '%s': %s\n  seed %llu: %s\n  replay: %s\n", f.checker.c_str(), f.text.c_str(),
              static_cast<unsigned long long>(f.seed), describe(w.reduced.options(f.seed)).c_str(),
              arguments_of(w, f.seed, w.reduced).c_str());
  std::fflush(stdout);
}

int run_one(const wishes &w) {
  const run_options options = w.reduced.options(w.seed);
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(w.seed), describe(options).c_str());
  std::fflush(stdout);
  const verdict v = run(options, w.bug, w.verbose);
  std::printf(
      "trace %016llx, %llu events, %llu operations, %llu snapshots, %llu reads of them, %llu elections\n"
      "%s%s%s\n",
      static_cast<unsigned long long>(v.hash), static_cast<unsigned long long>(v.events),
      static_cast<unsigned long long>(v.operations), static_cast<unsigned long long>(v.snapshots),
      static_cast<unsigned long long>(v.snapshot_reads), static_cast<unsigned long long>(v.elections),
      v.failed() ? "WRONG, says " : "nothing is wrong", v.checker.c_str(),
      v.failed() ? (": " + v.text).c_str() : "");
  return v.failed() ? 1 : 0;
}

int run_many(const wishes &w) {
  range_request request;
  request.first = w.seed, request.count = w.count, request.jobs = w.jobs, request.bug = w.bug;
  request.reduced = w.reduced, request.only = w.only;
  request.findings_max = w.findings_max;
  const auto began = std::chrono::steady_clock::now();
  auto said = began;
  if (w.hours > 0) {
    request.count = ~std::uint64_t{0} - w.seed;
    request.go_on = [&](const seed_totals &t) {
      const auto now = std::chrono::steady_clock::now();
      if (now - said >= std::chrono::minutes(1)) {
        said = now;
        show(t);
        std::printf(", violations 0\n");
        std::fflush(stdout);
      }
      return std::chrono::duration<double>(now - began).count() < w.hours * 3600;
    };
  }
  const range_result result = run_range(request);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  for (const finding &f : result.findings) show(w, f);
  show(result.totals);
  std::printf(", violations %zu; %.1f s, %.0f seeds/s\n", result.findings.size(), took,
              static_cast<double>(result.totals.seeds) / took);
  if (!result.findings.empty() && w.shrinks) {
    const finding &f = result.findings.front();
    std::printf("shrinking seed %llu\n", static_cast<unsigned long long>(f.seed));
    const reductions small = shrink(f.seed, w.bug, w.reduced, f.checker);
    std::printf("smallest: %s\n", arguments_of(w, f.seed, small).c_str());
  }
  std::size_t missed = 0;
  for (std::size_t p = 0; w.checks_probes && p < probe_count; ++p)
    if (result.probes[p] == 0) ++missed, std::printf("probe never hit: %s\n", probe_names[p]);
  if (w.checks_probes) std::printf("%zu of %zu probes hit\n", probe_count - missed, probe_count);
  if (w.must_find) return result.findings.empty() ? 1 : 0;
  return result.findings.empty() && missed == 0 ? 0 : 1;
}

// Where each mistake was found when it was last searched from seed 1 on: NAME SEED, one a line.
std::map<std::string, std::uint64_t> read_starts(const std::string &file) {
  std::map<std::string, std::uint64_t> out;
  std::ifstream in(file);
  std::string name;
  for (std::uint64_t seed; in >> name >> seed;) out[name] = seed;
  return out;
}

// A table for docs/testing.md: name, seeds until it is found, by which checker. With --starts the seed that is known is
// tried first, and all from the first one on only if that has changed.
int run_planted(const wishes &w) {
  const auto starts = read_starts(w.starts_file);
  std::size_t missed = 0, found_count = 0;
  std::printf("| mistake | what it is | seeds | found by |\n| --- | --- | --- | --- |\n");
  for (const planted_bug &bug : planted_bugs()) {
    if (!w.only_planted.empty() && bug.name.find(w.only_planted) == std::string::npos) continue;
    const auto known = starts.find(bug.name);
    if (!w.starts_file.empty() && known == starts.end()) continue;
    range_request request;
    request.jobs = w.jobs, request.bug = &bug, request.reduced = w.reduced;
    range_result result;
    if (known != starts.end()) request.first = known->second, result = run_range(request);
    if (result.findings.empty()) {
      request.first = w.seed, request.count = w.count ? w.count : 5000, request.only = w.only;
      result = run_range(request);
    }
    if (result.findings.empty()) ++missed;
    else ++found_count;
    const std::string seeds = result.findings.empty() ? "not found in " + std::to_string(request.count)
                                                      : std::to_string(result.findings.front().seed);
    std::printf("| %s | %s | %s | %s |\n", bug.name.c_str(), bug.what.c_str(), seeds.c_str(),
                result.findings.empty() ? "-" : result.findings.front().checker.c_str());
    std::fflush(stdout);
  }
  std::printf("%zu mistakes were found, %zu were not\n", found_count, missed);
  return missed == 0 ? 0 : 1;
}

// Each line: a seed, then reductions as arguments; from '#' on a comment.
int run_kept(const wishes &w) {
  std::ifstream in(w.seeds_file);
  if (!in) return std::fprintf(stderr, "%s cannot be read\n", w.seeds_file.c_str()), 2;
  int worst = 0;
  unsigned lines = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::vector<std::string> list{"simulation", "--seed"};
    for (std::string word; words >> word;) list.push_back(word);
    if (list.size() < 3) continue;
    list.insert(list.end(), {"--count", "1", "--no-shrink"});
    std::vector<char *> arguments;
    for (std::string &each : list) arguments.push_back(each.data());
    ++lines;
    worst = std::max(worst, run_command_line(static_cast<int>(arguments.size()), arguments.data()));
  }
  std::printf("%u kept seeds\n", lines);
  return worst;
}

bool parse(int count, char **arguments, wishes &w) {
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    const auto text = [&]() -> std::string { return i + 1 < count ? arguments[++i] : ""; };
    const auto number = [&] { return std::strtoull(text().c_str(), nullptr, 10); };
    const auto small = [&] { return static_cast<unsigned>(number()); };
    if (name == "--seed") w.seed = number();
    else if (name == "--count") w.count = number();
    else if (name == "--jobs") w.jobs = std::max(1u, small());
    else if (name == "--findings") w.findings_max = number();
    else if (name == "--check-probes") w.checks_probes = true;
    else if (name == "--no-shrink") w.shrinks = false;
    else if (name == "--must-find") w.must_find = true, w.shrinks = false;
    else if (name == "--verbose") w.verbose = true;
    else if (name == "--seeds") w.seeds_file = text();
    else if (name == "--planted-all") w.planted_all = true;
    else if (name == "--only") w.only_planted = text();
    else if (name == "--starts") w.starts_file = text();
    else if (name == "--nodes") w.reduced.nodes = small();
    else if (name == "--servers") w.reduced.servers = small();
    else if (name == "--volumes") w.reduced.volumes = small();
    else if (name == "--threads") w.reduced.threads = small();
    else if (name == "--operations") w.reduced.operations = small();
    else if (name == "--duration-ms") w.reduced.duration_ms = static_cast<std::int64_t>(number());
    else if (name == "--planted") {
      if ((w.bug = find_planted(text())) == nullptr) return false;
    } else if (name == "--hours") {
      w.hours = std::strtod(text().c_str(), nullptr);
      std::random_device chance;
      w.seed = (std::uint64_t{chance()} << 20) + 1;
      std::printf("seeds from %llu on\n", static_cast<unsigned long long>(w.seed));
    } else if (name == "--weather") {
      const std::string which = text();
      for (std::size_t n = 0; n < weather_count; ++n)
        if (which == weather_names[n]) w.only = static_cast<weather>(n);
      if (!w.only) return false;
    } else if (name == "--without") {
      const std::string which = text();
      bool known = false;
      for (std::size_t f = 0; f < fault_count; ++f)
        if (which == fault_names[f]) w.reduced.without.insert(static_cast<fault>(f)), known = true;
      if (!known) return false;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace

int run_command_line(int count, char **arguments) {
  wishes w;
  if (!parse(count, arguments, w)) return usage();
  if (!w.seeds_file.empty()) return run_kept(w);
  if (w.planted_all) return run_planted(w);
  return w.count == 0 && w.hours == 0 ? run_one(w) : run_many(w);
}

}  // namespace csnap::simulation
