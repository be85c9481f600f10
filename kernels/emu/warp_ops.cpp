#include "kernels/emu/warp_ops.h"

#include <algorithm>

#include "kernels/emu/block.h"

namespace mpanet::simt {
namespace {

template <class Argument>
Argument& argument_of(void* const* arguments, unsigned lane) {
  return *static_cast<Argument*>(arguments[lane]);
}

template <class Body>
void for_lanes(unsigned lanes, const Body& body) {
  for (; lanes != 0; lanes &= lanes - 1) body(static_cast<unsigned>(std::countr_zero(lanes)));
}

struct ShuffleArgument {
  Shuffle kind;
  uint64_t bits;
  int operand, width;
  uint64_t result;
  int missing;  // the source lane if it did not call the shuffle, else -1
};

// The lane that a lane reads, like PTX's shfl.sync with segments of `width` lanes; beyond its segment, the lane itself.
unsigned source_lane(Shuffle kind, unsigned lane, unsigned operand, unsigned width) {
  const unsigned first = lane & ~(width - 1), last = lane | (width - 1);
  const unsigned delta = operand % kLanes;
  switch (kind) {
    case Shuffle::Index:
      return first | (delta & (width - 1));
    case Shuffle::Up:
      return lane >= first + delta ? lane - delta : lane;
    case Shuffle::Down:
      return lane + delta <= last ? lane + delta : lane;
    case Shuffle::Xor:
      return (lane ^ delta) <= last ? lane ^ delta : lane;
  }
  return lane;
}

void finish_shuffle(void* const* arguments, unsigned lanes) {
  for_lanes(lanes, [&](unsigned lane) {
    auto& mine = argument_of<ShuffleArgument>(arguments, lane);
    const unsigned source =
        source_lane(mine.kind, lane, static_cast<unsigned>(mine.operand), static_cast<unsigned>(mine.width));
    const bool there = lanes >> source & 1;
    mine.missing = there ? -1 : static_cast<int>(source);
    if (there) mine.result = argument_of<ShuffleArgument>(arguments, source).bits;
  });
}

struct VoteArgument {
  bool predicate;
  unsigned ballot, lanes;
};

void finish_vote(void* const* arguments, unsigned lanes) {
  unsigned ballot = 0;
  for_lanes(lanes, [&](unsigned lane) {
    ballot |= static_cast<unsigned>(argument_of<VoteArgument>(arguments, lane).predicate) << lane;
  });
  for_lanes(lanes, [&](unsigned lane) {
    argument_of<VoteArgument>(arguments, lane).ballot = ballot;
    argument_of<VoteArgument>(arguments, lane).lanes = lanes;
  });
}

struct MatchArgument {
  uint64_t bits;
  unsigned same, lanes;  // lanes with equal bits; all lanes of the call
};

void finish_match(void* const* arguments, unsigned lanes) {
  for_lanes(lanes, [&](unsigned lane) {
    auto& mine = argument_of<MatchArgument>(arguments, lane);
    mine.same = 0;
    mine.lanes = lanes;
    for_lanes(lanes, [&](unsigned other) {
      mine.same |= static_cast<unsigned>(argument_of<MatchArgument>(arguments, other).bits == mine.bits) << other;
    });
  });
}

struct FoldArgument {
  Fold kind;
  int64_t value, result;
};

int64_t combine(Fold kind, int64_t a, int64_t b) {
  switch (kind) {
    case Fold::Add:
      return a + b;
    case Fold::Min:
      return std::min(a, b);
    case Fold::Max:
      return std::max(a, b);
    case Fold::And:
      return a & b;
    case Fold::Or:
      return a | b;
    case Fold::Xor:
      return a ^ b;
  }
  return a;
}

void finish_fold(void* const* arguments, unsigned lanes) {
  const unsigned first = static_cast<unsigned>(std::countr_zero(lanes));
  int64_t all = argument_of<FoldArgument>(arguments, first).value;
  for_lanes(lanes & (lanes - 1), [&](unsigned lane) {
    const auto& other = argument_of<FoldArgument>(arguments, lane);
    all = combine(other.kind, all, other.value);
  });
  for_lanes(lanes, [&](unsigned lane) { argument_of<FoldArgument>(arguments, lane).result = all; });
}

}  // namespace

uint64_t shuffle(const char* call, Shuffle kind, unsigned mask, uint64_t bits, int operand, int width, Where where) {
  if (width < 1 || width > kLanes || !std::has_single_bit(static_cast<unsigned>(width)))
    fault(fmt::format("{}: expected a width that is a power of two up to 32, got {}", call, width), where);
  ShuffleArgument mine{kind, bits, operand, width, 0, -1};
  warp_collective(call, mask, &mine, finish_shuffle, where);
  if (mine.missing >= 0) fault(fmt::format("{} reads lane {}, which takes no part", call, mine.missing), where);
  return mine.result;
}

unsigned vote(const char* call, Vote kind, unsigned mask, bool predicate, Where where) {
  VoteArgument mine{predicate, 0, 0};
  warp_collective(call, mask, &mine, finish_vote, where);
  switch (kind) {
    case Vote::Ballot:
      return mine.ballot;
    case Vote::All:
      return mine.ballot == mine.lanes;
    case Vote::Any:
      return mine.ballot != 0;
  }
  return 0;
}

unsigned match(const char* call, Match kind, unsigned mask, uint64_t bits, Where where) {
  MatchArgument mine{bits, 0, 0};
  warp_collective(call, mask, &mine, finish_match, where);
  return kind == Match::Any || mine.same == mine.lanes ? mine.same : 0;
}

int64_t fold(const char* call, Fold kind, unsigned mask, int64_t value, Where where) {
  FoldArgument mine{kind, value, 0};
  warp_collective(call, mask, &mine, finish_fold, where);
  return mine.result;
}

void warp_barrier(unsigned mask, Where where) {
  warp_collective(
      "__syncwarp", mask, nullptr, [](void* const*, unsigned) {}, where);
}

unsigned own_lane_bit() { return 1u << running_block->lane(); }

}  // namespace mpanet::simt
