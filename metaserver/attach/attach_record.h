// SPDX-License-Identifier: BSD-3-Clause
//
// Who watches over which device: one small file for each, locked by its supervisor as long as that lives. A lock, for a
// process id that was written down may be somebody else's by now. It is the process's own, so that others can ask who
// has it: in the process that took one no record may be read any more, for closing the file would give it up.
#pragma once

#include "metaserver/attach/owned_fd.h"
#include "metaserver/base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace csnap::attach {

struct attached_device {
  std::uint32_t index = 0;
  std::string export_name;
  std::string
      source;  // which of the exports of this name: its server, and of a snapshot what it says of itself
  pid_t supervisor = 0;  // 0: it has ended
};

class attach_records {
 public:
  // Root's own: /run/csnap belongs to the user csnap.
  static constexpr char default_folder[] = "/run/csnap-attach";
  explicit attach_records(std::string folder = default_folder) : folder_(std::move(folder)) {}

  // While the answer lives no other attach on this host is in the middle. Errors: io.
  result<owned_fd> keep_others_out() const;
  // Ours from now on, and locked as long as the answer lives. Errors: busy, io.
  result<owned_fd> take(std::uint32_t index, const std::string &export_name, const std::string &source) const;
  void forget(std::uint32_t index) const;

  std::vector<attached_device> all() const;
  std::optional<attached_device> of_device(std::uint32_t index) const;
  std::optional<attached_device> of_export(const std::string &export_name) const;

 private:
  std::string path(std::uint32_t index) const;

  const std::string folder_;
};

}  // namespace csnap::attach
