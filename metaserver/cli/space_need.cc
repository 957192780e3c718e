// SPDX-License-Identifier: BSD-3-Clause
//
// After a create all chunks of a volume are shared with the new snapshot, whatever older ones had: each is
// copied when it is written for the first time, and no more. So the volume's size is the bound.
#include "metaserver/cli/space_need.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace csnap::cli {

result<space_need> ask_space_need(const master_call &master,
                                  const std::vector<wire::snapshot_pair> &members) {
  const auto report = master.ask<wire::report>(wire::status{});
  if (!report) return report.error();
  const auto document = nlohmann::json::parse(report->json, nullptr, false);
  const auto store = document.is_object() ? document.value("store", nlohmann::json()) : nlohmann::json();
  const bool is_complete = store.is_object() && store.contains("chunk_size") &&
                           store.contains("chunks_free") && store["chunk_size"].is_number_unsigned() &&
                           store["chunks_free"].is_number_unsigned();
  const std::uint64_t chunk_bytes = is_complete ? store["chunk_size"].get<std::uint64_t>() : 0;
  if (chunk_bytes == 0)
    return fail(errc::invalid, "the server's report says nothing of its store: is it of another version?");
  const auto listed = master.ask<wire::list_reply>(wire::list{});
  if (!listed) return listed.error();
  space_need out;
  out.free_bytes = store["chunks_free"].get<std::uint64_t>() * chunk_bytes;
  for (const auto &member : members) {
    const auto &all = listed->volumes;
    const auto volume =
        std::find_if(all.begin(), all.end(), [&](const auto &v) { return v.name == member.volume; });
    if (volume == all.end()) return fail(errc::not_found, "no volume '" + member.volume + "' in this store");
    out.at_most_bytes += (volume->size_bytes + chunk_bytes - 1) / chunk_bytes * chunk_bytes;
  }
  return out;
}

}  // namespace csnap::cli
