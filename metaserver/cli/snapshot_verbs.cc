// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"
#include "metaserver/cli/verbs.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <vector>

namespace csnap::cli {
namespace {

using nlohmann::json;

result<std::vector<wire::snapshot_pair>> parse_pairs(const std::vector<std::string> &texts) {
  std::vector<wire::snapshot_pair> out;
  for (const std::string &text : texts) {
    const auto name = parse_snapshot_name(text);
    if (!name) return name.error();
    out.push_back({name->volume, name->snapshot});
  }
  return out;
}

exit_status create(const global_options &globals, const std::vector<std::string> &names,
                   std::int32_t priority) {
  wire::create request;
  auto members = parse_pairs(names);
  if (!members) return misused(members.error().text);
  if (members->size() > wire::group_size_max)
    return misused("a group has at most " + std::to_string(wire::group_size_max) + " snapshots");
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  request.request = client::random_unique_id();
  request.priority = static_cast<std::uint32_t>(priority);
  request.members = std::move(*members);
  const auto made = master->ask<wire::created>(request);
  if (!made) return failed(made.error());
  if (globals.json) {
    const json out = {{"snapshots", names},
                      {"number", made->number.value},
                      {"created", made->created_unix_ms},
                      {"pause_ms", made->pause_ms}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    for (const std::string &name : names)
      std::printf("%s created, number %llu\n", name.c_str(),
                  static_cast<unsigned long long>(made->number.value));
  }
  return exit_status::done;
}

exit_status remove(const global_options &globals, const std::vector<std::string> &names) {
  const auto pairs = parse_pairs(names);  // all of them before the first is deleted
  if (!pairs) return misused(pairs.error().text);
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  for (std::size_t i = 0; i < pairs->size(); ++i) {
    wire::remove request;
    request.request = client::random_unique_id();
    request.snapshot = (*pairs)[i];
    if (const auto done = master->ask<wire::done>(request); !done) {
      error why = done.error();
      if (i > 0) why.text += " (" + std::to_string(i) + " before it were deleted)";
      return failed(why);
    }
  }
  if (globals.json) std::printf("%s\n", json({{"deleted", names}}).dump().c_str());
  return exit_status::done;
}

exit_status rename(const global_options &globals, const std::string &from, const std::string &to) {
  const auto old_name = parse_snapshot_name(from);
  if (!old_name) return misused(old_name.error().text);
  wire::rename request;
  request.new_name = to;
  if (to.find('@') != std::string::npos) {
    const auto new_name = parse_snapshot_name(to);
    if (!new_name) return misused(new_name.error().text);
    if (new_name->volume != old_name->volume)
      return misused("a snapshot stays with its volume: write " + old_name->volume + "@NEW");
    request.new_name = new_name->snapshot;
  }
  if (!is_valid_name(request.new_name)) return misused(invalid_name("snapshot", request.new_name).text);
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  request.request = client::random_unique_id();
  request.snapshot = {old_name->volume, old_name->snapshot};
  const auto done = master->ask<wire::done>(request);
  if (!done) return failed(done.error());
  if (globals.json)
    std::printf("%s\n", json({{"volume", old_name->volume}, {"snapshot", request.new_name}}).dump().c_str());
  return exit_status::done;
}

}  // namespace

void add_snapshot_verbs(CLI::App &app, command_line &line) {
  struct arguments {
    std::vector<std::string> names;
    std::int32_t priority = 0;
    std::string from, to;
  };
  const auto typed = std::make_shared<arguments>();

  auto *create_verb = app.add_subcommand("create", "Make snapshots, all at one point in time");
  create_verb->add_option("VOL@SNAP", typed->names, "One for each volume")->required();
  create_verb->add_option("--priority", typed->priority, "When space ends, lower ones are given up first")
      ->capture_default_str();
  create_verb->footer("Example: csnap create disk1@monday disk2@monday");
  create_verb->callback(
      [typed, &line] { line.status = create(line.globals, typed->names, typed->priority); });

  auto *delete_verb =
      app.add_subcommand("delete", "Delete snapshots; their space comes back in the background");
  delete_verb->add_option("VOL@SNAP", typed->names)->required();
  delete_verb->footer("Example: csnap delete disk1@monday");
  delete_verb->callback([typed, &line] { line.status = remove(line.globals, typed->names); });

  auto *rename_verb = app.add_subcommand("rename", "Give a snapshot another name");
  rename_verb->add_option("VOL@OLD", typed->from)->required();
  rename_verb->add_option("VOL@NEW", typed->to, "Or just NEW")->required();
  rename_verb->footer("Example: csnap rename disk1@monday disk1@before-upgrade");
  rename_verb->callback([typed, &line] { line.status = rename(line.globals, typed->from, typed->to); });
}

}  // namespace csnap::cli
