#include "kernels/cuda/staging.h"

#include <algorithm>
#include <cstring>

namespace mpanet::cuda {
namespace {

// A large copy is divided into pieces: the device copies the first while the host fills the second.
constexpr size_t kPiece = size_t{4} << 20;
constexpr size_t kPieces = 256;  // maximum number of events in use
constexpr size_t kAlignment = 256;

}  // namespace

Event Staging::free_oldest() {
  Piece oldest = std::move(on_their_way_.front());
  on_their_way_.pop_front();
  CUDA_CALL(cudaEventSynchronize(oldest.arrived.get()));
  return std::move(oldest.arrived);
}

// Space for one piece, after the last one or at the begin of the ring. Waits for older pieces in it.
char* Staging::reserve(size_t bytes) {
  if (memory_ == nullptr) memory_ = make_pinned(kBytes);
  if (head_ + bytes > kBytes) head_ = 0;
  const auto in_the_way = [&](const Piece& piece) { return piece.begin < head_ + bytes && head_ < piece.end; };
  while (std::any_of(on_their_way_.begin(), on_their_way_.end(), in_the_way)) free_oldest();
  return static_cast<char*>(memory_.get()) + head_;
}

void Staging::copy_to_device(cudaStream_t stream, void* to, const void* from, size_t bytes) {
  for (size_t done = 0; done < bytes; done += kPiece) {
    const size_t part = std::min(kPiece, bytes - done);
    char* const staged = reserve(part);
    std::memcpy(staged, static_cast<const char*>(from) + done, part);
    CUDA_CALL(cudaMemcpyAsync(static_cast<char*>(to) + done, staged, part, cudaMemcpyHostToDevice, stream));
    Event arrived = on_their_way_.size() < kPieces ? make_event() : free_oldest();
    CUDA_CALL(cudaEventRecord(arrived.get(), stream));
    const size_t end = head_ + (part + kAlignment - 1) / kAlignment * kAlignment;
    on_their_way_.push_back({head_, end, std::move(arrived)});
    head_ = end;
  }
}

}  // namespace mpanet::cuda
