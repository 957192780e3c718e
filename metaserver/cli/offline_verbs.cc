// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/store_target.h"
#include "metaserver/cli/verbs.h"
#include "metaserver/store/offline.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <optional>

namespace csnap::cli {
namespace {

using nlohmann::json;
using store::device_role;

struct offline_arguments {
  std::string store, metadata;
  bool repair = false;
};

// The device with the metadata, for reading. Errors: not_found (no store), invalid (the wrong device was
// named).
result<std::unique_ptr<opened_device>> open_metadata(const offline_arguments &typed) {
  const std::string &where = typed.metadata.empty() ? typed.store : typed.metadata;
  auto device = open_device(where, {.read_only = true});
  if (!device) return device.error();
  const auto label = store::read_label(**device);
  if (!label && label.error().code == errc::not_found)
    return fail(errc::not_found, where + " holds no csnap store");
  if (label && label->role == device_role::data)
    return fail(errc::invalid,
                where + " holds a store's data only: name its metadata with --metadata DEVICE");
  if (!is_nbd(where))
    if (const auto held = store_lock::is_held(where); held && *held)
      print_error_line("warning: a csnap-metaserver is running on " + where +
                       "; what it changes meanwhile may show as errors");
  return device;
}

// The copies on all devices of the store, with no server running on any.
result<store::repair_report> repair(const offline_arguments &typed) {
  store::repair_report all;
  for (const std::string &where : {typed.metadata, typed.store}) {
    if (where.empty()) continue;
    const auto target = claim_device(where);
    if (!target) return target.error();
    auto done = store::repair_store(*target->device);
    if (!done) return fail(done.error().code, where + ": " + done.error().text);
    for (const std::string &each : done->repaired) all.repaired.push_back(where + ": " + each);
    for (const std::string &each : done->damaged) all.damaged.push_back(where + ": " + each);
  }
  return all;
}

json describe(const store::check_report &report) {
  return {{"ok", report.ok()},
          {"errors", report.errors},
          {"notes", report.notes},
          {"term", to_text(report.term)},
          {"volumes", report.volumes},
          {"snapshots", report.snapshots},
          {"exceptions", report.exceptions},
          {"chunks_owned", report.chunks_owned},
          {"chunks_reserved", report.chunks_reserved},
          {"chunks_free", report.chunks_free},
          {"pages_read", report.pages_read},
          {"log_records", report.log_records}};
}

void print_report(const store::check_report &report) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  for (const std::string &each : report.errors) std::printf("error: %s\n", each.c_str());
  for (const std::string &each : report.notes) std::printf("note: %s\n", each.c_str());
  std::printf("%llu volumes, %llu snapshots, %llu exceptions\n", number(report.volumes),
              number(report.snapshots), number(report.exceptions));
  std::printf("chunks: %llu owned, %llu reserved, %llu free\n", number(report.chunks_owned),
              number(report.chunks_reserved), number(report.chunks_free));
  std::printf("term %s; %llu pages and %llu log records read\n", to_text(report.term).c_str(),
              number(report.pages_read), number(report.log_records));
  if (report.ok()) std::printf("ok\n");
}

void print_repaired(const store::repair_report &report) {
  for (const std::string &each : report.repaired) std::printf("repaired: %s\n", each.c_str());
  for (const std::string &each : report.damaged) std::printf("not repaired: %s\n", each.c_str());
  if (report.repaired.empty()) std::printf("nothing was repaired\n");
}

exit_status check_verb(const global_options &globals, const offline_arguments &typed) {
  std::optional<store::repair_report> repaired;
  if (typed.repair) {
    auto done = repair(typed);
    if (!done) return failed(done.error());
    repaired = std::move(*done);
  }
  const auto device = open_metadata(typed);
  if (!device) return failed(device.error());
  const store::check_report report = store::check_store(**device);
  if (globals.json) {
    json out = describe(report);
    if (repaired) out["repaired"] = repaired->repaired, out["not_repaired"] = repaired->damaged;
    std::printf("%s\n", out.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    if (repaired) print_repaired(*repaired);
    print_report(report);
  }
  if (report.ok()) return exit_status::done;
  return failed(fail(errc::corrupt, typed.store + ": " + std::to_string(report.errors.size()) +
                                        " errors found: do not serve it, and keep the devices as they are"));
}

exit_status dump(const offline_arguments &typed) {
  const auto device = open_metadata(typed);
  if (!device) return failed(device.error());
  bool is_written = true;
  const auto dumped = store::dump_store(**device, [&](std::string_view piece) {
    if (is_written) is_written = std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size();
  });
  if (!dumped) return failed(dumped.error());
  if (!is_written || std::fflush(stdout) != 0)
    return failed(fail(errc::io, "the dump could not be written: is there space where it goes?"));
  return exit_status::done;
}

}  // namespace

void add_offline_verbs(CLI::App &app, command_line &line) {
  const auto typed = std::make_shared<offline_arguments>();
  auto *check_app = app.add_subcommand("check", "Verify a store completely");
  auto *dump_app = app.add_subcommand("dump", "Print a store's metadata as JSON");
  for (auto *verb : {check_app, dump_app}) {
    verb->add_option("STORE", typed->store, "Device of the store")->required();
    verb->add_option("--metadata", typed->metadata, "Device of its metadata, if it is a separate one");
  }
  check_app->add_flag("--repair", typed->repair,
                      "First make damaged copies of superblocks and slots new from their other copies");
  check_app->footer(
      "Example: csnap check /dev/sdc\nNo server should be running on it. Without --repair nothing is "
      "changed;\nwith it nothing is guessed: what exists only once stays as it is.");
  check_app->callback([typed, &line] { line.status = check_verb(line.globals, *typed); });
  dump_app->footer("Example: csnap dump /dev/sdc > store.json");
  dump_app->callback([typed, &line] { line.status = dump(*typed); });
}

}  // namespace csnap::cli
