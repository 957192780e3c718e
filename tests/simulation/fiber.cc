// SPDX-License-Identifier: BSD-3-Clause
#include "tests/simulation/fiber.h"

#include "metaserver/base/check.h"

#include <vector>

#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace csnap::simulation {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t stack_bytes = 512 << 10;
#else
constexpr std::size_t stack_bytes = 128 << 10;
#endif

std::vector<void *> free_stacks, all_stacks;
fiber *running = nullptr;
jmp_buf scheduler_here;

void *take_stack() {
  if (!free_stacks.empty()) {
    void *stack = free_stacks.back();
    free_stacks.pop_back();
    return stack;
  }
  void *stack = ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(stack != MAP_FAILED, "no memory for a stack");
  (void)::mprotect(stack, 4096, PROT_NONE);  // a stack that overflows is found at once
  all_stacks.push_back(stack);
  return stack;
}

#if defined(__SANITIZE_ADDRESS__)
void *scheduler_fake_stack = nullptr;
const void *scheduler_stack = nullptr;
std::size_t scheduler_stack_bytes = 0;
void to_fiber(void *stack) { __sanitizer_start_switch_fiber(&scheduler_fake_stack, stack, stack_bytes); }
void in_fiber() { __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_bytes); }
void to_scheduler(bool) { __sanitizer_start_switch_fiber(nullptr, scheduler_stack, scheduler_stack_bytes); }
void in_scheduler() { __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr); }
void clean(void *stack) {
  __asan_unpoison_memory_region(static_cast<char *>(stack) + 4096, stack_bytes - 4096);
}
#else
void to_fiber(void *) {}
void in_fiber() {}
void to_scheduler(bool) {}
void in_scheduler() {}
void clean(void *) {}
#endif

}  // namespace

fiber::fiber(process *owner, std::function<void()> body) : owner_(owner), body_(std::move(body)) {}

fiber::~fiber() {
  if (stack_ != nullptr) {
    clean(stack_);
    free_stacks.push_back(stack_);
  }
}

fiber *fiber::current() { return running; }

void fiber::abandon_all() { running = nullptr; }

void fiber::entry() {
  in_fiber();
  fiber *self = running;
  self->body_();
  self->ended_ = true;
  suspend();
  unreachable("a fiber that has ended was resumed");
}

void fiber::resume() {
  check(running == nullptr && !ended_, "resume of a fiber inside a fiber");
  running = this;
  if (!started_) {
    started_ = true;
    stack_ = take_stack();
    ucontext_t made;
    check(::getcontext(&made) == 0, "getcontext");
    made.uc_stack.ss_sp = stack_;
    made.uc_stack.ss_size = stack_bytes;
    made.uc_link = nullptr;
    ::makecontext(&made, &fiber::entry, 0);
    if (_setjmp(scheduler_here) == 0) {
      to_fiber(stack_);
      ::setcontext(&made);
    }
  } else if (_setjmp(scheduler_here) == 0) {
    to_fiber(stack_);
    _longjmp(here_, 1);
  }
  in_scheduler();
  running = nullptr;
  if (ended_) {
    clean(stack_);
    free_stacks.push_back(stack_);
    stack_ = nullptr;
    if (when_ended) when_ended();
  }
}

void fiber::suspend() {
  fiber *self = running;
  if (_setjmp(self->here_) == 0) {
    to_scheduler(self->ended_);
    _longjmp(scheduler_here, 1);
  }
  in_fiber();
}

}  // namespace csnap::simulation
