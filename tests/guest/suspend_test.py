"""A whole machine is suspended to memory, with messages leased, delayed and waited for."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from guest import GuestTest, main  # noqa: E402

# The suspension lasts longer than everything that could run out during it.
SCRIPT = """
export SHMQ_SOCKET=/run/socket
shmqd --socket /run/socket > /run/log 2>&1 &
keeper=$!
while ! shmq status > /dev/null 2>&1; do sleep 0.1; done

shmq create leased --lease 4s
shmq create delayed
shmq create slept
shmq create safe --durability durable

# One that has a message in hand and cannot renew its lease.
shmq send leased held
shmq recv leased -n 1 --exec 'cat > /dev/null; sleep 1' &
holder=$!
while [ "$(shmq pending leased --json)" = "[]" ]; do sleep 0.1; done
kill -STOP $holder

shmq send delayed later
shmq recv delayed -n 1 --exec 'sleep 1' &
while [ "$(shmq pending delayed --json)" = "[]" ]; do sleep 0.1; done
shmq nack delayed 0 --delay 4s
wait $!

shmq recv slept -n 1 > /run/slept &
sleeper=$!
sleep 0.5

say() {
    echo "== $1: clocks"
    cut -d' ' -f1 /proc/uptime
    sed -n 's/^now at \\([0-9]*\\) nsecs/\\1/p' /proc/timer_list
    echo "== $1: leased"
    shmq pending leased --json
    echo "== $1: delayed"
    shmq pending delayed --json
    echo "== $1: status"
    shmq status --json
}
say before
echo 0 > /sys/class/rtc/rtc0/wakealarm
echo +9 > /sys/class/rtc/rtc0/wakealarm
echo mem > /sys/power/state
say after

echo "== woken"
shmq send slept message
wait $sleeper
cat /run/slept
shmq send safe sure --confirm durable
shmq recv safe

echo "== expires when its time of running is over"
shmq recv leased -n 1 --timeout 60s
kill -CONT $holder
echo "== comes when its time of running is over"
shmq recv delayed -n 1 --timeout 60s

echo "== end"
kill $keeper
wait $keeper
echo $?
cat /run/log
"""


class SuspendTest(GuestTest):
    script = SCRIPT

    def before_and_after(self, what: str) -> list[Any]:
        return [json.loads("\n".join(self.said[f"{when}: {what}"])) for when in ("before", "after")]

    def test_the_machine_was_suspended(self) -> None:
        before, after = self.said["before: clocks"], self.said["after: clocks"]
        running = (int(after[1]) - int(before[1])) / 1e9
        self.assertGreater(float(after[0]) - float(before[0]) - running, 5)

    def test_leases_and_delays_stand_still(self) -> None:
        for what in ("leased", "delayed"):
            before, after = self.before_and_after(what)
            self.assertEqual(len(before), 1, what)
            self.assertEqual(len(after), 1, what)
            for key in ("state", "sequence", "pid", "deliveries", "failures"):
                self.assertEqual(after[0][key], before[0][key], f"{what}: {key}")

    def test_the_same_daemon_goes_on(self) -> None:
        before, after = self.before_and_after("status")
        self.assertEqual((after["pid"], after["restarts"], after["deaths"]),
                         (before["pid"], 0, before["deaths"]))
        status, *log = self.said["end"]
        self.assertEqual(status, "0")
        self.assertFalse([line for line in log if "ERROR" in line or "restart" in line], log)

    def test_a_sleeper_is_woken_and_a_log_confirms(self) -> None:
        self.assertEqual(self.said["woken"], ["message", "sure"])

    def test_what_stood_still_runs_out_later(self) -> None:
        self.assertEqual(self.said["expires when its time of running is over"], ["held"])
        self.assertEqual(self.said["comes when its time of running is over"], ["later"])


if __name__ == "__main__":
    main()
