// Tensors: handles to arena memory. Copies share data and gradient; the last handle releases both.
#pragma once
#include <any>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/real.h"
#include "core/base/shape.h"
#include "core/context.h"

namespace mpanet {

template <class T>
class TensorOf {
 public:
  TensorOf() = default;
  // Contents undefined until a kernel writes them. needs_grad: whether a backward pass must reach this tensor.
  TensorOf(Context& context, const Shape& shape, bool needs_grad = false)
      : body_(std::make_shared<Body>(context, shape, needs_grad)) {}

  // A tensor over memory of the caller, which must outlive it. It never has a gradient.
  static TensorOf at(Context& context, const Shape& shape, T* memory) {
    TensorOf tensor;
    tensor.body_ = std::make_shared<Body>(context, shape, memory);
    return tensor;
  }

  explicit operator bool() const { return body_ != nullptr; }
  const Shape& shape() const { return body_->shape; }
  int dim(int i) const { return static_cast<int>(body_->shape[i]); }
  int64_t count() const { return body_->shape.count(); }
  T* data() const { return body_->data; }
  bool needs_grad() const { return body_ && body_->needs_grad; }
  bool has_grad() const { return body_->grad != nullptr; }
  const T* grad() const { return body_->grad; }

  // The address for a backward kernel to write this tensor's gradient to. The first writer sets it, later ones add.
  std::pair<T*, Write> grad_sink() const {
    if (body_->grad != nullptr) return {body_->grad, Write::Add};
    body_->grad = body_->allocate();
    return {body_->grad, Write::Set};
  }
  // Moves this tensor's gradient memory to `other` (same shape, no gradient yet); this tensor has none afterwards.
  void give_grad_to(const TensorOf& other) const {
    MPANET_CHECK(other.shape() == shape() && !other.has_grad(), "expected a gradient-free {}, got {}", shape().str(),
                 other.shape().str());
    other.body_->grad = std::exchange(body_->grad, nullptr);
  }
  T* mutable_grad() const { return body_->grad; }
  // Releases the gradient's memory before the tensor itself.
  void release_grad() const {
    if (body_->grad != nullptr) body_->context.arena().release(std::exchange(body_->grad, nullptr));
  }

  // Releases the memory of the values before the tensor itself, which keeps its shape and its gradient. restore_data()
  // takes memory again; contents undefined until a kernel writes them.
  void release_data() const { body_->release_data(); }
  void restore_data() const {
    if (body_->data == nullptr) body_->data = body_->allocate();
  }

  // An object of the layers that all handles share; attached() is null if none of this type was attached.
  template <class A>
  void attach(std::shared_ptr<A> object) const {
    body_->attached = std::move(object);
  }
  template <class A>
  A* attached() const {
    const auto* const object = std::any_cast<std::shared_ptr<A>>(&body_->attached);
    return object == nullptr ? nullptr : object->get();
  }

  std::vector<T> to_host() const {
    std::vector<T> values(static_cast<size_t>(count()));
    body_->context.to_host(values.data(), data(), values.size() * sizeof(T));
    return values;
  }
  void from_host(const std::vector<T>& values) const {
    MPANET_CHECK(values.size() == static_cast<size_t>(count()), "expected {} values, got {}", count(), values.size());
    body_->context.to_device(data(), values.data(), values.size() * sizeof(T));
  }

 private:
  struct Body {
    Body(Context& c, const Shape& s, bool g) : context(c), shape(s), needs_grad(g), data(allocate()) {}
    Body(Context& c, const Shape& s, T* memory) : context(c), shape(s), owned(false), data(memory) {}
    ~Body() {
      release_data();
      if (grad != nullptr) context.arena().release(grad);
    }
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;
    void release_data() {
      if (owned && data != nullptr) context.arena().release(std::exchange(data, nullptr));
    }
    T* allocate() const {
      return static_cast<T*>(context.arena().allocate(static_cast<size_t>(shape.count()) * sizeof(T)));
    }
    Context& context;
    Shape shape;
    bool needs_grad = false, owned = true;
    T* data;
    T* grad = nullptr;
    std::any attached;
  };
  std::shared_ptr<Body> body_;
};

// Memory of the arena for the lifetime of this object: workspaces, saved bytes. Null for count 0.
template <class T = char>
class Scratch {
 public:
  Scratch(Context& context, int64_t count) : context_(&context), count_(count) {
    if (count > 0) data_ = static_cast<T*>(context.arena().allocate(static_cast<size_t>(count) * sizeof(T)));
  }
  ~Scratch() {
    if (data_ != nullptr) context_->arena().release(data_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }
  int64_t count() const { return count_; }

 private:
  Context* context_;
  int64_t count_;
  T* data_ = nullptr;
};

}  // namespace mpanet
