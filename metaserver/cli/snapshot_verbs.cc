// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/base/names.h"
#include "metaserver/cli/space_need.h"
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

exit_status print_need(const space_need &need, bool as_json) {
  if (as_json)
    std::printf(
        "%s\n",
        json({{"at_most", need.at_most_bytes}, {"free", need.free_bytes}, {"enough", need.is_enough()}})
            .dump()
            .c_str());
  else
    std::printf("could come to need %s of the store, %s are free: %s\n",
                format_size(need.at_most_bytes).c_str(), format_size(need.free_bytes).c_str(),
                need.is_enough() ? "enough" : "not enough for the worst case");
  return exit_status::done;
}

struct create_options {
  std::int32_t priority = 0;
  bool only_estimates = false, checks_space = false;
};

exit_status create(const global_options &globals, const std::vector<std::string> &names,
                   const create_options &options) {
  wire::create request;
  auto members = parse_pairs(names);
  if (!members) return misused(members.error().text);
  if (members->size() > wire::group_size_max)
    return misused("a group has at most " + std::to_string(wire::group_size_max) + " snapshots");
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  request.request = client::random_unique_id();
  request.priority = static_cast<std::uint32_t>(options.priority);
  request.members = std::move(*members);
  if (options.only_estimates || options.checks_space) {
    const auto need = ask_space_need(*master, request.members);
    if (!need) return failed(need.error());
    if (options.only_estimates) return print_need(*need, globals.json);
    if (!need->is_enough())
      print_error_line("warning: could come to need " + format_size(need->at_most_bytes) + " of the store, " +
                       format_size(need->free_bytes) + " are free");
  }
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
    create_options create_with;
    std::string from, to;
  };
  const auto typed = std::make_shared<arguments>();

  auto *create_verb = app.add_subcommand("create", "Make snapshots, all at one point in time");
  create_verb->add_option("VOL@SNAP", typed->names, "One for each volume")->required();
  create_verb
      ->add_option("--priority", typed->create_with.priority,
                   "When space ends, lower ones are given up first")
      ->capture_default_str();
  create_verb->add_flag("--estimate", typed->create_with.only_estimates,
                        "Make nothing; say how much of the store they could come to need");
  create_verb->add_flag("--check-space", typed->create_with.checks_space,
                        "Warn if the store could get full before every chunk is written once");
  create_verb->footer("Example: csnap create disk1@monday disk2@monday");
  create_verb->callback(
      [typed, &line] { line.status = create(line.globals, typed->names, typed->create_with); });

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
