"""What shmq leans on, asked of the kernel of stock Debian; and the CLI on it, by io_uring and without."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from guest import BIN_DIR, PROGRAMS, GuestTest, main  # noqa: E402

SCRIPT = """
uname -r
echo "== promises"
kernel_tests --gtest_brief=1
echo $?
for loop in uring epoll; do
    echo "== $loop"
    shmqd --io $loop --socket /run/$loop > /run/$loop.log 2>&1 &
    keeper=$!
    export SHMQ_SOCKET=/run/$loop
    while ! shmq status > /dev/null; do sleep 0.1; done
    grep -o "loop [a-z_]*" /run/$loop.log
    shmq create q --durability durable --capacity 64
    seq 1000 > /run/sent
    shmq send q --confirm durable < /run/sent
    shmq recv q -n 1000 | cmp - /run/sent
    kill $keeper
    wait $keeper
    echo $?
done
"""


class StockKernelTest(GuestTest):
    programs = (*PROGRAMS, BIN_DIR / "kernel_tests")
    script = SCRIPT

    def test_it_keeps_its_promises(self) -> None:
        *said, status = self.said["promises"]
        self.assertEqual(status, "0", said)
        self.assertRegex(said[-1], r"PASSED")

    def test_a_log_by_each_kind_of_loop(self) -> None:
        for given, said in (("uring", "io_uring"), ("epoll", "epoll")):
            self.assertEqual(self.said[given], [f"loop {said}", "0"])


if __name__ == "__main__":
    main()
