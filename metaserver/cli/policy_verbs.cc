// SPDX-License-Identifier: BSD-3-Clause
//
// What is said about volumes and snapshots for the day when the store gets full: set, hold, release, resize.
#include "metaserver/base/names.h"
#include "metaserver/cli/verbs.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace csnap::cli {
namespace {

using nlohmann::json;

struct arguments {
  std::string name, tag, when_full;
  std::int32_t priority = 0;
};

exit_status tell(const global_options &globals, const wire::message &request, const json &done_text) {
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  const auto done = master->ask<wire::done>(request);
  if (!done) return failed(done.error());
  if (globals.json) std::printf("%s\n", done_text.dump().c_str());
  return exit_status::done;
}

exit_status set_volume(const global_options &globals, const arguments &typed) {
  const auto policy = parse_full_policy(typed.when_full);
  if (!is_valid_name(typed.name)) return misused(invalid_name("volume", typed.name).text);
  if (!policy) return misused("--full " + typed.when_full + ": write error, origin-first or snapshot-first");
  return tell(globals, wire::set_volume{client::random_unique_id(), typed.name, *policy},
              {{"volume", typed.name}, {"when_full", to_text(*policy)}});
}

exit_status set_snapshot(const global_options &globals, const arguments &typed) {
  const auto name = parse_snapshot_name(typed.name);
  if (!name) return misused(name.error().text);
  wire::set_snapshot request;
  request.request = client::random_unique_id();
  request.snapshot = {name->volume, name->snapshot};
  request.priority = static_cast<std::uint32_t>(typed.priority);
  return tell(globals, request, {{"snapshot", typed.name}, {"priority", typed.priority}});
}

// A volume has a policy, a snapshot a priority.
exit_status set(const global_options &globals, const arguments &typed, bool has_priority) {
  const bool is_snapshot = typed.name.find('@') != std::string::npos;
  if (is_snapshot && (!has_priority || !typed.when_full.empty()))
    return misused("a snapshot has a priority: csnap set VOL@SNAP --priority N");
  if (!is_snapshot && (has_priority || typed.when_full.empty()))
    return misused("a volume has a policy: csnap set VOL --full error|origin-first|snapshot-first");
  return is_snapshot ? set_snapshot(globals, typed) : set_volume(globals, typed);
}

template <class Request>
exit_status change_hold(const global_options &globals, const arguments &typed, const char *what) {
  const auto name = parse_snapshot_name(typed.name);
  if (!name) return misused(name.error().text);
  if (!is_valid_tag(typed.tag))
    return misused("'" + typed.tag.substr(0, 80) + "' is no tag: use a name of at most " +
                   std::to_string(tag_length_max) + " characters");
  Request request;
  request.request = client::random_unique_id();
  request.snapshot = {name->volume, name->snapshot};
  request.tag = typed.tag;
  return tell(globals, request, {{"snapshot", typed.name}, {what, typed.tag}});
}

exit_status resize(const global_options &globals) {
  const auto master = find_master(globals);
  if (!master) return misused(master.error().text);
  const auto done = master->ask<wire::resized>(wire::resize{});
  if (!done) return failed(done.error());
  const std::uint64_t before = done->chunks_before * done->chunk_bytes;
  const std::uint64_t now = done->chunks_now * done->chunk_bytes;
  if (globals.json) {
    std::printf("%s\n",
                json({{"before", before}, {"now", now}, {"chunks", done->chunks_now}}).dump().c_str());
  } else if (before == now) {
    std::printf("the store has room for %s of copies, as before: its device was not enlarged\n",
                format_size(now).c_str());
  } else {
    std::printf("the store has room for %s of copies, was %s\n", format_size(now).c_str(),
                format_size(before).c_str());
  }
  return exit_status::done;
}

}  // namespace

void add_policy_verbs(CLI::App &app, command_line &line) {
  const auto typed = std::make_shared<arguments>();

  auto *set_verb = app.add_subcommand("set", "Say what happens when the store gets full");
  set_verb->add_option("VOL or VOL@SNAP", typed->name)->required();
  set_verb->add_option("--full", typed->when_full,
                       "Of a volume: error, its writes fail; origin-first, its snapshots are given up; "
                       "snapshot-first, its writes wait");
  const auto *priority =
      set_verb->add_option("--priority", typed->priority, "Of a snapshot: lower ones are given up first");
  set_verb->footer("Example: csnap set disk1 --full origin-first");
  set_verb->callback(
      [typed, priority, &line] { line.status = set(line.globals, *typed, priority->count() > 0); });

  auto *hold_verb = app.add_subcommand("hold", "Keep a snapshot from being deleted or given up");
  hold_verb->add_option("VOL@SNAP", typed->name)->required();
  hold_verb->add_option("TAG", typed->tag, "Who holds it; a snapshot can be held by several")->required();
  hold_verb->footer("Example: csnap hold disk1@monday backup");
  hold_verb->callback(
      [typed, &line] { line.status = change_hold<wire::hold>(line.globals, *typed, "held_by"); });

  auto *release_verb = app.add_subcommand("release", "End a hold");
  release_verb->add_option("VOL@SNAP", typed->name)->required();
  release_verb->add_option("TAG", typed->tag)->required();
  release_verb->footer("Example: csnap release disk1@monday backup");
  release_verb->callback(
      [typed, &line] { line.status = change_hold<wire::release>(line.globals, *typed, "released"); });

  auto *resize_verb = app.add_subcommand("resize", "Use all of the store's device after it was enlarged");
  resize_verb->footer("Example: csnap resize");
  resize_verb->callback([&line] { line.status = resize(line.globals); });
}

}  // namespace csnap::cli
