// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"
#include "metaserver/cli/diff_runs.h"
#include "metaserver/cli/table.h"
#include "metaserver/cli/verbs.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace csnap::cli {
namespace {

using nlohmann::json;

result<std::uint64_t> fetch_chunk_bytes(const master_call &master) {
  const auto report = master.ask<wire::report>(wire::status{});
  if (!report) return report.error();
  const json status = json::parse(report->json, nullptr, false);
  const json::json_pointer place("/store/chunk_size");
  if (!status.is_object() || !status.contains(place) || !status[place].is_number_unsigned() ||
      status[place].get<std::uint64_t>() == 0)
    return fail(errc::invalid, "the server does not tell the chunk size: is it of another version?");
  return status[place].get<std::uint64_t>();
}

result<std::vector<byte_run>> fetch(const master_call &master, wire::diff request) {
  const auto chunk_bytes = fetch_chunk_bytes(master);
  if (!chunk_bytes) return chunk_bytes.error();
  std::vector<byte_run> out;
  for (;;) {
    const auto reply = master.ask<wire::diff_reply>(request);
    if (!reply) return reply.error();
    const bool goes_on = reply->finished || reply->next > request.first;
    if (!append_runs(out, reply->runs, *chunk_bytes, reply->size_bytes) || !goes_on)
      return fail(errc::invalid, "the server's answer makes no sense: is it of another version?");
    if (reply->finished) return out;
    request.first = reply->next;
  }
}

void print(const std::vector<byte_run> &runs, bool as_json) {
  using enum table::align;
  if (as_json) {
    json out = json::array();
    for (const byte_run &run : runs)
      out.push_back({{"offset", run.offset}, {"length", run.length}, {"zero", run.zero}});
    std::printf("%s\n", out.dump().c_str());
    return;
  }
  table out({{"OFFSET", right}, {"LENGTH", right}, {"ZERO", left}});
  for (const byte_run &run : runs)
    out.add({std::to_string(run.offset), std::to_string(run.length), run.zero ? "yes" : "no"});
  std::printf("%s", out.text().c_str());
}

exit_status diff(const global_options &globals, const std::string &from, const std::string &to) {
  const auto older = parse_snapshot_name(from);
  if (!older) return misused(older.error().text);
  if (to.find('@') == std::string::npos && is_valid_name(to))
    return misused("a difference to the volume itself is not offered yet: make a snapshot of " + to +
                   " first");
  const auto newer = parse_snapshot_name(to);
  if (!newer) return misused(newer.error().text);
  if (older->volume != newer->volume) return misused("both snapshots must be of the same volume");
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  wire::diff request;
  request.volume = older->volume;
  request.older = older->snapshot;
  request.newer = newer->snapshot;
  const auto runs = fetch(*master, std::move(request));
  if (!runs) return failed(runs.error());
  print(*runs, globals.json);
  return exit_status::done;
}

}  // namespace

void add_diff_verb(CLI::App &app, command_line &line) {
  struct arguments {
    std::string from, to;
  };
  const auto typed = std::make_shared<arguments>();
  auto *verb = app.add_subcommand("diff", "Show which bytes differ between two snapshots of a volume");
  verb->add_option("VOL@A", typed->from, "The older snapshot")->required();
  verb->add_option("VOL@B", typed->to, "The newer one")->required();
  verb->footer("Example: csnap diff disk1@monday disk1@tuesday --json");
  verb->callback([typed, &line] { line.status = diff(line.globals, typed->from, typed->to); });
}

}  // namespace csnap::cli
