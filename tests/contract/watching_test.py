#!/usr/bin/env python3
"""What monitors read: the page of numbers, by `shmq metrics` and by HTTP, and the events."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from cli_support import (BIN_DIR, DONE, FAILED, NO_DAEMON, ROOT, USAGE, WATCHDOG_SECONDS, CliTest,
                         main, wait_until)

# A command that holds its message, and not the pipes of this test once it is orphaned.
HOLD = "exec sleep 30 >&- 2>&-"

SAMPLE = re.compile(r'([a-z_]+)(?:\{([^}]*)\})? ([0-9.e+-]+)')


def families(page: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", page))


class MetricsTest(CliTest):
    @classmethod
    def start_daemon(cls) -> None:
        cls.unix = f"{cls.directory.name}/metrics"
        with open(f"{cls.directory.name}/log", "ab") as log:
            cls.daemon = subprocess.Popen(
                [BIN_DIR / "shmqd", "--socket", cls.socket, "--metrics", f"unix:{cls.unix}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(cls.socket), "the daemon's socket")

    def page(self) -> str:
        return self.shmq("metrics").stdout.decode()

    def value(self, name: str, **labels: str) -> float:
        wanted = {f'{key}="{value}"' for key, value in ({"queue": self.queue} | labels).items()}
        for found in SAMPLE.finditer(self.page()):
            if found[1] == name and set((found[2] or "").split(",")) == wanted:
                return float(found[3])
        raise AssertionError(f"{name} {labels} is not there")

    def http(self, request: bytes) -> tuple[str, str]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WATCHDOG_SECONDS)
            connection.connect(self.unix)
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        head, _, body = answer.decode().partition("\r\n\r\n")
        length = re.search(r"Content-Length: (\d+)", head)
        self.assertIsNotNone(length, head)
        if not request.startswith(b"HEAD"):
            self.assertEqual(int(length[1]), len(body.encode()))
        return head, body

    def test_what_is_counted_is_on_the_page(self) -> None:
        self.create("--capacity", 256)
        self.shmq("send", self.queue, input=b"".join(b"%d\n" % n for n in range(200)))
        self.shmq("recv", self.queue, "-n", 130)
        self.assertEqual(self.value("shmq_queue_sent_messages_total"), 200)
        self.assertEqual(self.value("shmq_queue_acked_messages_total"), 130)
        self.assertEqual(self.value("shmq_queue_messages", state="ready"), 70)
        self.assertGreater(self.value("shmq_queue_oldest_ready_age_seconds"), 0)
        self.assertEqual(self.value("shmq_queue_oldest_unacked_age_seconds"), 0)
        # Sequences 0, 64 and 128 were delivered and acked.
        for name in ("shmq_queue_time_in_queue_seconds", "shmq_queue_handling_seconds"):
            self.assertEqual(self.value(f"{name}_count"), 3)
            self.assertEqual(self.value(f"{name}_bucket", le="+Inf"), 3)
        self.shmq("purge", self.queue)
        self.assertEqual(self.value("shmq_queue_purged_messages_total"), 70)
        self.shmq("pause", self.queue, "--consume")
        self.assertEqual(self.value("shmq_queue_paused", role="consumer"), 1)

    def test_http_serves_the_same_and_nothing_else(self) -> None:
        self.create()
        head, body = self.http(b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertRegex(head, r"^HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
        self.assertEqual(families(body), families(self.page()))
        self.assertEqual(self.http(b"HEAD /metrics HTTP/1.1\r\n\r\n")[1], "")
        for request, status in ((b"GET / HTTP/1.1\r\n\r\n", "404"),
                                (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
                                (b"\0\xff\r\n\r\n", "400"), (b"x" * 9000, "431")):
            self.assertRegex(self.http(request)[0], f"^HTTP/1.1 {status} ")
        # Those who say nothing keep nobody out.
        silent = [socket.socket(socket.AF_UNIX) for _ in range(40)]
        for connection in silent:
            connection.connect(self.unix)
        self.assertIn("200 OK", self.http(b"GET /metrics HTTP/1.0\r\n\r\n")[0])
        for connection in silent:
            connection.close()

    def test_the_page_is_as_prometheus_wants_it(self) -> None:
        self.create("--overflow", "spill")
        page = self.page()
        types = families(page)
        current = ""
        seen = set()
        for line in page.splitlines():
            if line.startswith("# HELP "):
                current = line.split()[2]
                self.assertNotIn(current, seen, "a family in two places")
                seen.add(current)
            elif not line.startswith("#"):
                name = SAMPLE.fullmatch(line.replace("+Inf", "Inf"))
                self.assertIsNotNone(name, line)
                self.assertTrue(name[1].startswith(current), line)
        self.assertEqual(seen, set(types))
        for name, kind in types.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)

    def test_documents_and_code_name_the_same(self) -> None:
        self.create("--overflow", "spill")
        page = self.page()
        types = families(page)
        written = (ROOT / "docs/metrics.md").read_text()
        listed = dict(re.findall(r"(?m)^\| `(shmqd?_\w+)`(?:[^|]*)\| (\w+) \|", written))
        self.assertEqual(listed, types)
        known = set(types) | {f"{name}_{part}" for name, kind in types.items()
                              if kind == "histogram" for part in ("bucket", "sum", "count")}
        for file in ("docs/alerts.yml", "docs/grafana_dashboard.json"):
            used = set(re.findall(r"\bshmqd?_[a-z_]+", (ROOT / file).read_text()))
            self.assertGreater(len(used), 5)
            self.assertEqual(used - known, set(), file)
        json.loads((ROOT / "docs/grafana_dashboard.json").read_text())

    def test_an_address_that_is_no_loopback_is_refused(self) -> None:
        for address in ("0.0.0.0:9464", "10.0.0.1:9464", "[::]:9464", "9464", "unix:relative"):
            done = subprocess.run([BIN_DIR / "shmqd", "--metrics", address, "--check-config"],
                                  capture_output=True, check=False, timeout=WATCHDOG_SECONDS)
            self.assertEqual(done.returncode, USAGE, address)

    def test_without_a_daemon(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for verb in ("metrics", "events"):
                done = subprocess.run([BIN_DIR / "shmq", verb, "--socket", f"{folder}/none"],
                                      capture_output=True, check=False, timeout=WATCHDOG_SECONDS)
                self.assertEqual(done.returncode, NO_DAEMON)


class EventsTest(CliTest):
    def watch(self, *words: str) -> subprocess.Popen:
        """A watcher that is there: it has seen something."""
        watcher = self.start("events", "--json", *words)
        os.set_blocking(watcher.stdout.fileno(), False)
        self.seen = b""
        probe = f"probe-{self.queue}"

        def there() -> bool:
            self.shmq("create", probe)
            self.shmq("rm", probe)
            return b"queue_created" in self.more(watcher)

        if "--queue" not in words:
            wait_until(there, "a first event")
        return watcher

    def more(self, watcher: subprocess.Popen) -> bytes:
        self.seen += watcher.stdout.read() or b""
        return self.seen

    def events(self, watcher: subprocess.Popen) -> list[dict]:
        text = self.more(watcher).decode()
        decoder = json.JSONDecoder()
        out = []
        while text := text.lstrip():
            try:
                event, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            out.append(event)
            text = text[end:]
        return out

    def kinds(self, watcher: subprocess.Popen) -> list[str]:
        return [event["kind"] for event in self.events(watcher) if event["queue"] == self.queue]

    def test_what_happens_is_told(self) -> None:
        watcher = self.watch()
        self.create("--max-deliveries", 2, "--lease", "100ms")
        self.send("m")
        holder = self.start("recv", self.queue, "--exec", HOLD)
        self.wait_for("leased", 1)
        self.shmq("edit", self.queue, "--lease", "50ms")
        self.shmq("pause", self.queue, "--produce")
        self.shmq("resume", self.queue)
        holder.kill()
        wanted = {"queue_created", "attached", "queue_edited", "queue_paused", "queue_resumed",
                  "process_died", "queue_removed"}
        wait_until(lambda: "process_died" in self.kinds(watcher), "a death")
        self.shmq("rm", self.queue, "--force")
        wait_until(lambda: wanted <= set(self.kinds(watcher)), str(wanted))
        died = next(event for event in self.events(watcher) if event["kind"] == "process_died")
        self.assertIn("shmq", died["text"])
        self.assertGreater(died["pid"], 1)
        self.assertGreater(died["time_ns"], 0)

    def test_failures_and_backlogs_are_told(self) -> None:
        watcher = self.watch()
        self.create("--max-deliveries", 1, "--lease", "50ms", "--overflow", "spill",
                    "--capacity", 64)
        self.shmq("send", self.queue, input=b"x\n" * 1000)
        holder = self.start("recv", self.queue, "-n", 1, "--exec", HOLD)
        wait_until(lambda: self.info()["delivered"] > 0, "a delivery")
        os.kill(holder.pid, signal.SIGSTOP)  # lest it renew its lease
        wait_until(lambda: {"spill_started", "lease_expired", "dead_lettered"}
                   <= set(self.kinds(watcher)), "spilled, expired, dead")

    def test_one_queue_and_one_that_is_not_there(self) -> None:
        self.create()
        self.shmq("events", "--queue", "no-such", status=FAILED)
        watcher = self.watch("--queue", self.queue, "-n", "2")

        def ended() -> bool:
            self.shmq("create", "another-one")
            self.shmq("rm", "another-one")
            self.shmq("pause", self.queue)
            self.shmq("resume", self.queue)
            self.more(watcher)
            return watcher.poll() is not None

        wait_until(ended, "two events")
        self.assertEqual({event["queue"] for event in self.events(watcher)}, {self.queue})
        self.assertEqual(watcher.wait(60), DONE)

    def test_a_slow_reader_loses_events_and_is_told_and_nobody_waits_for_it(self) -> None:
        watcher = self.watch()
        os.kill(watcher.pid, signal.SIGSTOP)
        self.create()
        # Each call tells; a few thousand are more than is kept and than the socket takes.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.socket)
            connection.settimeout(WATCHDOG_SECONDS)
            reader = connection.makefile("rb")

            def call(method: str, **parameters: object) -> None:
                frame = json.dumps({"method": f"io.shmq.Control.{method}",
                                    "parameters": parameters})
                connection.sendall(frame.encode() + b"\0")
                answer = b""
                while not answer.endswith(b"\0"):
                    piece = reader.read1(65536)
                    self.assertTrue(piece, "it hung up")
                    answer += piece
                answered = json.loads(answer[:-1])
                self.assertNotIn("error", answered)

            version = self.shmq("version").stdout.decode().split()[1].rstrip(",")
            call("Hello", version=version)
            for number in range(4000):
                call("Pause", name=self.queue, producers=number % 2 == 0)
        os.kill(watcher.pid, signal.SIGCONT)
        self.shmq("pause", self.queue)

        def told() -> bool:
            self.shmq("resume", self.queue)
            self.shmq("pause", self.queue)
            return any(event["lost"] for event in self.events(watcher))

        wait_until(told, "a count of what was lost")


if __name__ == "__main__":
    main()
