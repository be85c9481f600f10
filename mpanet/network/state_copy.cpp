#include "mpanet/network/state_copy.h"

#include <optional>

#include "core/base/error.h"
#include "core/download.h"
#include "mpanet/network/element_order.h"

namespace mpanet::PRECISION {
namespace {

// One copy for each of the store's arrays.
class StateCopy final : public StateSnapshot {
 public:
  StateCopy(Context& context, const ParameterStore& store, const std::vector<TensorInfo>& tensors)
      : store_(store), tensors_(tensors) {
    for (size_t i = 0; i < copies_.size(); i++)
      if (const size_t bytes = store.saved_arrays()[i]->bytes(); bytes > 0) copies_[i].emplace(context, bytes);
    take();
  }

  void take() override {
    for (size_t i = 0; i < copies_.size(); i++)
      if (copies_[i]) copies_[i]->start(store_.saved_arrays()[i]->as<void>());
  }

  void read(const std::string& name, Slot slot, void* out) const override {
    const Parameter* const p = store_.find(name);
    MPANET_CHECK(p != nullptr, "no tensor is called {}", name);
    MPANET_CHECK(slot != Slot::Gradient, "{}: gradients are not copied", name);
    const std::optional<HostCopy>& copy = copies_[slot == Slot::First ? 2 : slot == Slot::Second ? 3 : !p->trainable];
    MPANET_CHECK(copy && (p->trainable || slot == Slot::Value), "{} has no such slot", name);
    const real* const from = static_cast<const real*>(copy->wait()) + p->offset;
    auto* const to = static_cast<real*>(out);
    for_each_element(*p, [=](int64_t outside, int64_t inside) { to[outside] = from[inside]; });
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  int real_bytes() const override { return sizeof(real); }

 private:
  const ParameterStore& store_;
  const std::vector<TensorInfo>& tensors_;
  std::array<std::optional<HostCopy>, 4> copies_;  // in the order of saved_arrays()
};

}  // namespace

std::unique_ptr<StateSnapshot> take_snapshot(Context& context, const ParameterStore& store,
                                             const std::vector<TensorInfo>& tensors) {
  return std::make_unique<StateCopy>(context, store, tensors);
}

size_t snapshot_bytes(const ParameterStore& store) {
  size_t bytes = 0;
  for (const Buffer* array : store.saved_arrays()) bytes += array->bytes();
  return bytes;
}

}  // namespace mpanet::PRECISION
