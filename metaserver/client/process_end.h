// SPDX-License-Identifier: BSD-3-Clause
//
// Whether a process has ended, as seen by somebody who sees the same processes. A pid alone proves nothing, for it
// is used again and means another process in another pid namespace. So a process is named by its *space* (which
// kernel, and which namespaces make its pid and start time mean something), its pid there and its start.
#pragma once

#include "metaserver/base/ids.h"

#include <cstdint>
#include <optional>

namespace csnap::client {

// The space of this process: 8 bytes of the kernel's boot id, u32 inode of its pid namespace, u32 inode of its time
// namespace, both little endian. Zero if that cannot be read, or if /proc shows the pids of another namespace: then
// nothing is proof here. An inode is used again only when all processes of the old namespace are gone.
unique_id read_process_space();
// One kernel, perhaps in different namespaces.
bool is_same_kernel(const unique_id &space, const unique_id &other);

// When the process that has this pid now, as we see processes, was started (/proc/PID/stat, field 22). None
// if that cannot be read, which proves nothing: descriptors may be short, or /proc hidden.
std::optional<std::uint64_t> start_of_process(std::uint32_t pid);
std::optional<std::uint64_t> start_of_this_process();

// Proof that the process of our space with this pid and start has ended, with all its threads, and so with what
// they had given to local devices. False: it lives, or nobody knows.
bool has_ended(std::uint32_t pid, std::uint64_t start);

}  // namespace csnap::client
