// SPDX-License-Identifier: BSD-3-Clause
#include "nbdkit-plugin/export_list.h"

#include "metaserver/store/catalog.h"

#include <ctime>
#include <map>

namespace csnap::plugin {

std::string describe_origin(std::uint64_t size_bytes, std::uint64_t snapshot_count) {
  return "origin volume, " + format_size(size_bytes) + ", " + std::to_string(snapshot_count) +
         (snapshot_count == 1 ? " snapshot" : " snapshots");
}

std::string describe_snapshot(const std::string &volume, snapshot_number number,
                              std::uint64_t created_unix_ms) {
  const std::time_t seconds = static_cast<std::time_t>(created_unix_ms / 1000);
  std::tm parts{};
  char when[64] = "time unknown";
  if (gmtime_r(&seconds, &parts) != nullptr) std::strftime(when, sizeof when, "%Y-%m-%d %H:%M:%SZ", &parts);
  return "snapshot " + std::to_string(number.value) + " of " + volume + ", " + when;
}

result<export_list> list_exports(const list_pages &ask) {
  export_list list;
  std::map<volume_id, std::string> names;
  wire::list request;
  const auto add = [&](listed_export e) {
    if (list.exports.size() < exports_max) list.exports.push_back(std::move(e));
    else list.is_cut = true;
  };
  for (;;) {
    const auto page = ask(request);
    if (!page) return page.error();
    for (const wire::volume_entry &v : page->volumes)
      if (names.emplace(v.id, v.name).second) add({v.name, describe_origin(v.size_bytes, v.snapshot_count)});
    for (const wire::snapshot_entry &s : page->snapshots) {
      if (s.state != static_cast<std::uint8_t>(store::snapshot_state::live) || !names.contains(s.volume))
        continue;
      const std::string &volume = names[s.volume];
      add({volume + "@" + s.name, describe_snapshot(volume, s.number, s.created_unix_ms)});
    }
    if (!page->more || page->snapshots.empty() || list.is_cut) return list;
    const std::pair last{page->snapshots.back().volume, page->snapshots.back().number};
    // A page that does not lead on would be asked for again for ever.
    if (last <= std::pair{request.after_volume, request.after_number})
      return fail(errc::corrupt, "the server's list of snapshots does not go on");
    request.after_volume = last.first;
    request.after_number = last.second;
  }
}

}  // namespace csnap::plugin
