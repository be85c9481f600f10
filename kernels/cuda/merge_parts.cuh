// Merges the parts of sums per channel, (parts, values, c) in memory, in one launch and in a fixed order.
//
// A block of 512 threads takes a tile of 16 adjacent channels, 64 bytes of float, and a run of parts. A thread takes a
// pack of channels and every 128th part (of packs of four), and loads several parts before it uses them: there are few
// bytes, and latency decides. The threads' sums are joined by shuffles, then the warps' through shared memory.
//
// Up to kAlone parts a tile is one run. More are several: each block writes its sums to the stream's exchange memory
// and increments the tile's ticket. The block that completes the count merges the runs in order, so the sums do not
// depend on which block this is. It also resets the ticket.
//
// A kind of sums has kKept, the number of values per channel in shared memory, and Sums<N> of N channels, zero at
// first:
//   kValues  number of values of a part per channel        kParts  number of parts that a thread loads at once
//   of(parts, rows, pivot)   of kParts parts with these rows each, 0: absent
//   join(next), down(offset) adds the following sums; the sums of lane + offset
//   keep(kept, warp, channel), kept(kept, warp, channel)   to and from shared memory
//   write(to, c)             as a part
#pragma once
#include <algorithm>

#include "kernels/cuda/exchange.h"
#include "kernels/cuda/numeric.cuh"

namespace mpanet::PRECISION::KERNEL_NS {

constexpr int kMergeThreads = 512, kMergeWarps = kMergeThreads / kWarp;
constexpr int kMergeChannels = 16;
constexpr int kMostRuns = 132;  // of the tiles of a list that has several
constexpr int kMostValues = 3;

// The parts of one list of channels, and how blocks divide them.
struct PartList {
  const real* parts;
  int count, c;
  int64_t rows;
  int height;  // rows of a part, the last one has the rest
  int tiles;   // of channels
  int runs;    // of each tile; the grid has tiles * runs blocks
  int length;  // parts of a run, the last one has the rest
};

inline PartList part_list(const real* parts, int count, int c, int64_t rows, int height) {
  // Another run costs three accesses to memory, one after the other: as much as 1000 parts. A block of a tile with
  // several runs loads all of its parts at once. The kernel of moments has one block on a multiprocessor, of 132.
  constexpr int kAlone = 1536, kFewest = 384;
  const int tiles = static_cast<int>(divide_up(c, kMergeChannels));
  int runs = count <= kAlone ? 1 : std::max(std::min(count / kFewest, kMostRuns / tiles), 1);
  const int length = static_cast<int>(divide_up(count, runs));
  runs = static_cast<int>(divide_up(count, length));
  return {parts, count, c, rows, height, tiles, runs, length};
}

inline int merge_blocks(const PartList& list) { return list.tiles * list.runs; }

// Exchange memory of up to two lists of one launch. The sums of a run are (values, kMergeChannels).
struct RunMemory {
  unsigned* tickets;
  real* results;
  __device__ RunMemory(const Exchange& exchange, int list)
      : tickets(exchange.tickets + list * kMostRuns / 2),
        results(static_cast<real*>(exchange.results) + list * kMostRuns * kMostValues * kMergeChannels) {}
};
static_assert(2 * kMostRuns / 2 <= kTickets);  // a tile of several runs has at least two
static_assert(2 * kMostRuns * kMostValues * kMergeChannels * sizeof(real) <= kExchangeBytes);

template <int kKept>
struct MergeMemory {
  real kept[kKept][kMergeWarps][kMergeChannels + 1];
};

// Items to be merged: parts, or runs.
struct MergeItems {
  const real* from;  // item 0, at channel 0 of the tile
  int64_t pitch;     // elements between items
  int stride;        // elements between the values of an item
  int begin, end;    // of the block
  int last;          // index of the last item of the tile
  int64_t rows;      // of all items
  int64_t height;    // rows of an item, the last one has the rest
};

// This thread's sums for its channels, the first one `channel` of the tile.
template <class Sums, int N>
__device__ Sums thread_sums(const MergeItems& items, int channel, const real (&pivot)[N]) {
  constexpr int kLanes = kMergeChannels / N, kStep = kMergeThreads / kLanes;
  const real full = static_cast<real>(items.height), rest = static_cast<real>(items.rows - items.last * items.height);
  Sums sums;
  ONE_BY_ONE
  for (int first = items.begin + static_cast<int>(threadIdx.x) / kLanes; first < items.end;
       first += Sums::kParts * kStep) {
    Pack<real, N> parts[Sums::kParts][Sums::kValues];
    real rows[Sums::kParts];
    UNROLL
    for (int p = 0; p < Sums::kParts; p++) {
      const int item = first + p * kStep;
      const bool inside = item < items.end;
      rows[p] = inside ? (item == items.last ? rest : full) : real{0};
      const real* from = items.from + item * items.pitch + channel;
      UNROLL
      for (int v = 0; v < Sums::kValues; v++)
        parts[p][v] = inside ? load_pack<N>(from + v * items.stride) : Pack<real, N>{};
    }
    sums.join(Sums::of(parts, rows, pivot));
  }
  return sums;
}

// The sums of the block's threads for channel first + threadIdx.x / 16, in every 16th thread of the first 256. All
// threads must call. Has one barrier, before shared memory is read.
template <class One, int N, class Sums, class Memory>
__device__ One block_sums(Memory& shared, Sums sums) {
  constexpr int kLanes = kMergeChannels / N;
  static_assert(kMergeChannels * kMergeWarps <= kMergeThreads && kWarp % kMergeWarps == 0);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  UNROLL
  for (int offset = kWarp / 2; offset >= kLanes; offset /= 2) sums.join(sums.down(offset));
  if (lane < kLanes) sums.keep(shared.kept, thread / kWarp, lane * N);
  __syncthreads();
  One one;
  if (thread < kMergeChannels * kMergeWarps) one = One::kept(shared.kept, thread % kMergeWarps, thread / kMergeWarps);
  UNROLL
  for (int offset = kMergeWarps / 2; offset > 0; offset /= 2) one.join(one.down(offset));
  return one;
}

// Whether block_sums() gives this thread the sums of a channel, and which.
struct MergedChannel {
  int channel;
  bool own;
  __device__ MergedChannel(int tile, int c)
      : channel(tile * kMergeChannels + static_cast<int>(threadIdx.x) / kMergeWarps),
        own(threadIdx.x < kMergeChannels * kMergeWarps && threadIdx.x % kMergeWarps == 0 && channel < c) {}
};

// Counts the blocks of a tile. True in the one that counts last, which then sees what the others wrote before. All
// threads must call. Has barriers before and after.
__device__ inline bool last_of_tile(unsigned* ticket, int blocks) {
  __syncthreads();
  bool last = false;
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(ticket, 1u) == static_cast<unsigned>(blocks - 1);
    if (last) atomicExch(ticket, 0u);
    __threadfence();
  }
  return __syncthreads_or(last) != 0;
}

// Merges run block % runs of tile block / runs. Calls finish(channel, sums) in one thread per channel, in the tile's
// last block, and prepare(channel) in the same threads before that block's last loads: what finish() needs from memory
// is loaded with them. pivot(channel, to) sets the pivot of a thread's channels; means of runs are minus it.
template <class Kind, int N, class Memory, class Pivot, class Prepare, class Finish>
__device__ void merge_parts(Memory& shared, const PartList& list, int block, const RunMemory& memory,
                            const Pivot& pivot, const Prepare& prepare, const Finish& finish) {
  using Sums = typename Kind::template Sums<N>;
  using One = typename Kind::template Sums<1>;
  constexpr int kValues = Sums::kValues, kRunPitch = kValues * kMergeChannels;
  static_assert(kValues <= kMostValues);
  const int tile = block / list.runs, run = block % list.runs, first = tile * kMergeChannels;
  const int channel = static_cast<int>(threadIdx.x) % (kMergeChannels / N) * N;  // of the tile
  const bool inside = first + channel < list.c;
  const MergedChannel merged(tile, list.c);
  if (list.runs == 1 && merged.own) prepare(merged.channel);
  real origin[N] = {};
  if (inside) pivot(first + channel, origin);
  const int begin = run * list.length, end = min(begin + list.length, list.count);
  const MergeItems parts{list.parts + first, int64_t{kValues} * list.c, list.c, begin, end, list.count - 1, list.rows,
                         list.height};
  One one = block_sums<One, N>(shared, inside ? thread_sums<Sums>(parts, channel, origin) : Sums());
  if (list.runs > 1) {
    real* const results = memory.results + int64_t{tile} * list.runs * kRunPitch;
    if (merged.own) one.write(results + run * kRunPitch + merged.channel - first, kMergeChannels);
    if (!last_of_tile(memory.tickets + tile, list.runs)) return;
    if (merged.own) prepare(merged.channel);
    const MergeItems runs{results,   kRunPitch,     kMergeChannels, 0,
                          list.runs, list.runs - 1, list.rows,      int64_t{list.length} * list.height};
    const real none[N] = {};
    one = block_sums<One, N>(shared, inside ? thread_sums<Sums>(runs, channel, none) : Sums());
  }
  if (merged.own) finish(merged.channel, one);
}

}  // namespace mpanet::PRECISION::KERNEL_NS
