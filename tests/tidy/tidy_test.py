#!/usr/bin/env python3
"""Feeds each tidy rule a sample that must fail and one that must pass."""

import unittest

from cpp_source import blank_comments, find_functions
from tidy import FILE_LINES_MAX, FUNCTION_LINES_MAX, check

FILES = {
    "libshmq/include/shmq/queue.hpp": "",
    "libshmq/base/fd.hpp": "",
    "libshmq/shm/atomic.hpp": "",
    "libshmq/shm/audit.hpp": "",
    "libshmq/shm/slot_ring.hpp": "",
    "libshmq/wire/channel.hpp": "",
    "libshmq/client/session.hpp": "",
    "libshmq/client/handle.hpp": "",
    "daemon/registry.hpp": "",
    "daemon/journal/reader.hpp": "",
    "bench/support/pair.hpp": "",
    "tests/schedule/scheduled_atomic.hpp": "",
    "tests/support/daemon.hpp": "",
}


def findings(path: str, text: str) -> list[str]:
    return [str(f) for f in check(FILES | {path: text}) if f.path == path]


def long_function(lines: int) -> str:
    return "int f(int x) {\n" + "    x++;\n" * (lines - 2) + "}\n"


class TidyTest(unittest.TestCase):
    def assert_fails(self, path: str, text: str, line: int, words: str) -> None:
        found = findings(path, text)
        self.assertTrue(any(f.startswith(f"{path}:{line}: ") and words in f for f in found), found)

    def assert_passes(self, path: str, text: str) -> None:
        self.assertEqual(findings(path, text), [])

    def test_function_length(self) -> None:
        self.assert_passes("daemon/a.cpp", long_function(FUNCTION_LINES_MAX))
        self.assert_fails("daemon/a.cpp", "\n" + long_function(FUNCTION_LINES_MAX + 1), 2,
                          "function f of 71 lines")
        self.assert_fails("tests/unit/a.cpp", "TEST(A, B) {\n" + "a();\n" * 70 + "}\n", 1, "TEST")

    def test_file_length(self) -> None:
        self.assert_passes("daemon/a.hpp", "int a;\n" * FILE_LINES_MAX)
        self.assert_fails("daemon/a.hpp", "int a;\n" * (FILE_LINES_MAX + 1), 501, "501 lines")
        self.assert_passes("docs/guide.md", "text\n" * (FILE_LINES_MAX + 1))

    def test_include_direction(self) -> None:
        self.assert_passes("libshmq/shm/queue.hpp", '#include "base/fd.hpp"\n#include <array>\n')
        self.assert_fails("libshmq/shm/queue.hpp", '#include "wire/channel.hpp"\n', 1, "shm must")
        self.assert_fails("libshmq/wire/a.cpp", '#include "shm/audit.hpp"\n', 1, "wire must not")
        self.assert_fails("libshmq/base/a.cpp", '\n#include <shmq/queue.hpp>\n', 2, "base must not")
        self.assert_passes("libshmq/client/a.cpp", '#include "wire/channel.hpp"\n')
        self.assert_fails("libshmq/client/a.cpp", '#include "daemon/registry.hpp"\n', 1, "client")
        self.assert_passes("daemon/a.cpp", '#include "shm/slot_ring.hpp"\n')
        self.assert_fails("daemon/a.cpp", '#include "client/session.hpp"\n', 1, "daemon must not")
        self.assert_fails("bench/a.cpp", '#include "wire/channel.hpp"\n', 1, "bench must not")
        self.assert_fails("docs/examples/a.cpp", '#include "base/fd.hpp"\n', 1, "docs must not")
        self.assert_passes("tests/unit/a.cpp", '#include "daemon/registry.hpp"\n')

    def test_include_direction_of_the_cli(self) -> None:
        for door in ("shm/audit.hpp", "client/session.hpp", "daemon/journal/reader.hpp"):
            self.assert_passes("cli/a.cpp", f'#include "{door}"\n')
        for wall in ("shm/slot_ring.hpp", "client/handle.hpp", "daemon/registry.hpp"):
            self.assert_fails("cli/a.cpp", f'#include "{wall}"\n', 1, "cli must not include")

    def test_unknown_includes(self) -> None:
        self.assert_fails("daemon/a.cpp", '#include "../libshmq/nothing.hpp"\n', 1, "no file of")
        self.assert_passes("daemon/a.cpp", '// #include "nothing.hpp"\n#include <fmt/format.h>\n')
        self.assert_passes("libshmq/shm/atomic.hpp", '#include "scheduled_atomic.hpp"\n')

    def test_includes_from_the_top_folder(self) -> None:
        self.assert_passes("bench/support/pair.cpp", '#include "support/pair.hpp"\n')
        self.assert_fails("daemon/a.cpp", '#include "support/pair.hpp"\n', 1, "no file of ours")

        self.assert_passes("bench/a_bench.cpp", '#include "support/daemon.hpp"\n')
        self.assert_fails("bench/a_bench.cpp", '#include "tests/schedule/scheduled_atomic.hpp"\n',
                          1, "bench must not")

    def test_public_headers(self) -> None:
        self.assert_passes("libshmq/include/shmq/a.hpp", "#include <shmq/queue.hpp>\n#include <span>\n")
        self.assert_passes("libshmq/include/shmq/c.h", "#include <stdint.h>\n")
        self.assert_fails("libshmq/include/shmq/a.hpp", "#include <nlohmann/json.hpp>\n", 1, "public")
        self.assert_fails("libshmq/include/shmq/a.hpp", "#include <sys/types.h>\n", 1, "public")

    def test_doors(self) -> None:
        self.assert_passes("libshmq/shm/atomic.hpp", "#include <atomic>\n")
        self.assert_fails("libshmq/shm/wait.cpp", "#include <atomic>\n", 1, "shm/atomic.hpp")
        self.assert_passes("libshmq/client/a.cpp", "#include <atomic>\n")
        self.assert_passes("daemon/io/uring.cpp", "#include <liburing.h>\n")
        self.assert_passes("daemon/journal/uring_engine.cpp", "#include <liburing.h>\n")
        self.assert_fails("daemon/daemon.cpp", "#include <liburing.h>\n", 1, "daemon/io/io.hpp")
        self.assert_passes("libshmq/shm/segment.cpp", "#include <boost/interprocess/a.hpp>\n")
        self.assert_fails("libshmq/shm/queue.cpp", "#include <boost/a.hpp>\n", 1, "Boost outside")

    def test_system_calls_in_shm(self) -> None:
        self.assert_passes("libshmq/shm/wait.cpp", "#include <linux/futex.h>\n")
        self.assert_fails("libshmq/shm/wait.hpp", "#include <linux/futex.h>\n", 1, "system calls")
        self.assert_fails("libshmq/shm/queue.cpp", "#include <unistd.h>\n", 1, "system calls")
        self.assert_fails("libshmq/shm/queue.cpp", "void f() { ::syscall(1); }\n", 1, "syscall()")
        self.assert_passes("libshmq/shm/queue.cpp", "// a syscall(1) would sleep\n")

    def test_wall_clock(self) -> None:
        self.assert_fails("daemon/a.cpp", "void f() { ::clock_gettime(CLOCK_REALTIME, &t); }\n", 1,
                          "base/clock.hpp")
        self.assert_fails("libshmq/base/a.cpp", "auto t = std::chrono::system_clock::now();\n", 1,
                          "set back")
        self.assert_passes("cli/a.cpp", "auto t = std::chrono::system_clock::now();\n")

    def test_text(self) -> None:
        self.assert_fails("docs/a.md", "\nTODO: write\n", 2, "file an issue")
        self.assert_fails("dev", "cd /" + "home/somebody\n", 1, "path of one machine")
        self.assert_passes("docs/a.md", "`$ROOT/home` and ~/work, /var/lib, work/home/x\n")
        self.assert_fails("README.md", "blank \n", 1, "blanks at the end")
        self.assert_fails("README.md", "no newline", 1, "no newline")


class FindFunctionsTest(unittest.TestCase):
    def names(self, text: str) -> list[tuple[str, int]]:
        return [(f.name, f.lines) for f in find_functions(blank_comments(text))]

    def test_constructors_with_initializers(self) -> None:
        text = "struct A {\n    A(int x) : a_{x}, b_(2),\n          c_{3} {\n        f();\n    }\n" \
               "    int a_{1};\n};\n"
        self.assertEqual(self.names(text), [("A", 4)])

    def test_containers_are_not_functions(self) -> None:
        text = "namespace shmq {\nstruct alignas(64) Line final {\n    int x() const {\n" \
               "        return 1;\n    }\n};\nenum class E : int { one };\n}\n"
        self.assertEqual(self.names(text), [("x", 3)])

    def test_functions_that_return_structs(self) -> None:
        self.assertEqual(self.names("struct stat look(int fd) {\n}\n"), [("look", 2)])
        self.assertEqual(self.names("auto f() -> std::vector<int> {\n}\n"), [("f", 2)])

    def test_templates(self) -> None:
        text = "template <typename T>\n    requires std::integral<T>\nT g(T x) noexcept {\n}\n" \
               "template <int N>\nstruct S {\n    void h() {}\n};\n"
        self.assertEqual(self.names(text), [("g", 4), ("h", 1)])

    def test_braces_in_arguments_and_strings(self) -> None:
        text = 'void f(A a = {}, B b = {1}) {\n    g("}{", \'{\', R"(}})", 1\'000);\n}\nint x;\n'
        self.assertEqual(self.names(text), [("f", 3)])

    def test_tables_are_not_functions(self) -> None:
        self.assertEqual(self.names("constexpr Row rows[] = {\n    {1},\n    {2},\n};\n"), [])

    def test_access_labels_are_not_part_of_a_function(self) -> None:
        text = "class A {\n  public:\n\n    A() {\n    }\n};\n"
        self.assertEqual(self.names(text), [("A", 2)])

    def test_directives_do_not_upset_the_braces(self) -> None:
        text = "#define OPEN {\nint f() {\n    return 1;\n}\n"
        self.assertEqual(self.names(text), [("f", 3)])


if __name__ == "__main__":
    unittest.main()
