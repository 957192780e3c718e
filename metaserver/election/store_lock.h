// SPDX-License-Identifier: BSD-3-Clause
//
// The kernel's lock that says "a server is the master of this store": an open-file-description lock on one
// byte far beyond any device's end, so that it meets no other program's byte-range locks (qemu locks low
// offsets). It ends with the process, whatever way that ends.
//
// It is a lock of one kernel on one inode: two device nodes made by mknod for the same disk do not meet in
// it.
#pragma once

#include "metaserver/base/result.h"

#include <string>

namespace csnap {

class store_lock {
 public:
  // Opens the file for locking; nothing is locked yet. `create` makes a missing file (a lock file, never a
  // store). Errors: not_found, refused, io.
  static result<store_lock> open(const std::string &path, bool create);
  // Does some other open file description hold it? Needs the right to read only. Errors: as open().
  static result<bool> is_held(const std::string &path);

  store_lock(store_lock &&other) noexcept;
  store_lock &operator=(store_lock &&) = delete;
  ~store_lock();

  // True when this object holds the lock now. Errors: io (locks do not work there).
  result<bool> try_lock();
  // The same, but beside others that share it. A master whose election is not this lock shares it, so that the
  // offline verbs and the `file` election on its host keep out.
  result<bool> try_share();
  void unlock();

 private:
  result<bool> try_type(short type);
  store_lock(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_;
  std::string path_;
};

}  // namespace csnap
