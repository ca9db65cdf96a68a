// An owned file descriptor: closed exactly once, never copied, close-on-exec by its makers.
#pragma once

#include <utility>

namespace shmq {

class Fd {
  public:
    Fd() = default;
    explicit Fd(int descriptor) : descriptor_(descriptor) {}
    Fd(Fd&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.descriptor_, -1));
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    int get() const { return descriptor_; }
    bool valid() const { return descriptor_ >= 0; }
    explicit operator bool() const { return valid(); }

    // Gives the descriptor up without closing it.
    int release() { return std::exchange(descriptor_, -1); }
    // Closes the descriptor held and takes another.
    void reset(int descriptor = -1);
    // A second descriptor for the same file, close-on-exec; invalid (errno set) on failure.
    Fd duplicate() const;

  private:
    int descriptor_ = -1;
};

}  // namespace shmq
