// The version of this build, from the project's own line in CMakeLists.txt.
#pragma once

namespace shmq {

// MAJOR.MINOR.PATCH.
const char* version_text() noexcept;

}  // namespace shmq
