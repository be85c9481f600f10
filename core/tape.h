// The tape: what happened, in order, so that the gradients can be worked out backwards. An op's forward pushes one
// closure that runs its backward; forward and backward stand in one function (layers/, losses/). The list is popped
// from its end without recursion, each step is destroyed as soon as it ran, and its tensors' memory with it.
#pragma once
#include <functional>
#include <utility>
#include <vector>

namespace mpanet {

class Tape {
 public:
  // `backward` must do nothing when its output got no gradient (TensorOf::has_grad).
  void record(const char* op, std::function<void()> backward) { steps_.push_back({op, std::move(backward)}); }

  // Runs every closure, last one first; an error says of which op, and the tape is empty then too.
  void backward();
  void clear() {
    while (!steps_.empty()) steps_.pop_back();
  }
  size_t size() const { return steps_.size(); }

 private:
  struct Step {
    const char* op;
    std::function<void()> backward;
  };
  std::vector<Step> steps_;
};

}  // namespace mpanet
