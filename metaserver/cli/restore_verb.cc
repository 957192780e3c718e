// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/cli/store_target.h"
#include "metaserver/cli/verbs.h"
#include "metaserver/client/client_runtime.h"
#include "metaserver/store/offline.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

namespace csnap::cli {
namespace {

struct restore_arguments {
  std::string dump, store, metadata;
  bool force = false;
};

using open_file = std::unique_ptr<std::FILE, int (*)(std::FILE *)>;

result<open_file> open_dump(const std::string &path) {
  if (path == "-") return open_file(stdin, [](std::FILE *) { return 0; });
  open_file file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return fail(errc::not_found, path + ": " + std::strerror(errno));
  return file;
}

// Of what lies there now, as far as it can be read: clients do not listen to an older term.
std::uint64_t term_of(block_device &metadata) {
  const auto label = store::read_label(metadata);
  if (!label || label->role == store::device_role::data) return 0;
  const auto master = store::read_master(metadata, label->shape);
  return master ? master->term.counter : 0;
}

exit_status restore(const global_options &globals, const restore_arguments &typed) {
  auto dump = open_dump(typed.dump);
  if (!dump) return failed(dump.error());
  if (!typed.metadata.empty() && is_same_device(typed.store, typed.metadata))
    return failed(fail(errc::invalid, typed.store + " is named twice: as the store and as the metadata"));
  auto data = claim_target(typed.store, typed.force);
  if (!data) return failed(data.error());
  std::optional<store_target> metadata;
  if (!typed.metadata.empty()) {
    auto claimed = claim_target(typed.metadata, typed.force);
    if (!claimed) return failed(claimed.error());
    metadata.emplace(std::move(*claimed));
  }
  block_device *separate = metadata ? metadata->device.get() : nullptr;
  store::restore_request request;
  request.store = client::random_unique_id();
  request.draw = client::random_unique_id;
  request.term_above = term_of(separate ? *separate : *data->device);
  const auto made = store::restore_store(
      *data->device, separate, request, [&](std::span<char> text) -> result<std::size_t> {
        const std::size_t got = std::fread(text.data(), 1, text.size(), dump->get());
        if (got == 0 && std::ferror(dump->get())) return fail(errc::io, typed.dump + ": cannot be read");
        return got;
      });
  if (!made) return failed(made.error());
  const auto report = store::check_store(separate ? *separate : *data->device);
  if (!report.ok())
    return failed(fail(errc::corrupt, "what was written does not check: " + report.errors.front()));
  if (globals.json) {
    const nlohmann::json out = {{"uuid", to_text(made->store)},
                                {"restore_generation", made->restore_generation},
                                {"volumes", report.volumes},
                                {"snapshots", report.snapshots},
                                {"exceptions", report.exceptions}};
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf("store %s on %s: %llu volumes, %llu snapshots, %llu exceptions\n",
                to_text(made->store).c_str(), typed.store.c_str(),
                static_cast<unsigned long long>(report.volumes),
                static_cast<unsigned long long>(report.snapshots),
                static_cast<unsigned long long>(report.exceptions));
  }
  return exit_status::done;
}

}  // namespace

void add_restore_verb(CLI::App &app, command_line &line) {
  const auto typed = std::make_shared<restore_arguments>();
  auto *verb = app.add_subcommand("restore", "Write a store's metadata anew from a dump");
  verb->add_option("DUMP", typed->dump, "File that csnap dump has written; - for standard input")->required();
  verb->add_option("STORE", typed->store, "Device with the copies; they stay where they are")->required();
  verb->add_option("--metadata", typed->metadata, "A second device for the metadata, overwritten");
  verb->add_flag("--force", typed->force, "Replace the metadata of the store that is there now");
  verb->footer(
      "Example: csnap restore store.json /dev/sdc --force\nNo server may have run on the store since the "
      "dump was made.");
  verb->callback([typed, &line] { line.status = restore(line.globals, *typed); });
}

}  // namespace csnap::cli
