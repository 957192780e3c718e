// SPDX-License-Identifier: BSD-3-Clause
#include "metaserver/attach/export_facts.h"

#include "metaserver/base/names.h"

#include <linux/nbd.h>

namespace csnap::attach {

bool export_facts::is_read_only() const { return (flags & NBD_FLAG_READ_ONLY) != 0; }
bool export_facts::takes_several_connections() const { return (flags & NBD_FLAG_CAN_MULTI_CONN) != 0; }

result<> is_the_same_export(const export_facts &attached, const export_facts &now) {
  if (attached.size_bytes != now.size_bytes)
    return fail(errc::refused, "it has " + std::to_string(now.size_bytes) + " bytes now, and had " +
                                   std::to_string(attached.size_bytes) + ": detach and attach it");
  if (attached.is_read_only() != now.is_read_only())
    return fail(errc::refused, now.is_read_only()
                                   ? "it is read-only now: detach and attach it, or serve it writable again"
                                   : "it is writable now, and was read-only: detach and attach it");
  // The kernel sends what the old server could do: a flush that the new one does not know would be lost.
  if (const unsigned lost = static_cast<unsigned>(attached.flags & ~now.flags); lost != 0)
    return fail(errc::refused, "its server no longer offers what the device was attached with (flags " +
                                   std::to_string(lost) + "): is it of another version?");
  // A snapshot's description has its number and time. A volume's tells how many snapshots it has, which changes.
  if (attached.is_read_only() && attached.description != now.description)
    return fail(errc::refused, "it is another snapshot of that name now (" + now.description +
                                   "; attached was " + attached.description + "): detach and attach it");
  return {};
}

}  // namespace csnap::attach
