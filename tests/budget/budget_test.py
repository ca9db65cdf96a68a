#!/usr/bin/env python3
"""How many instructions the hot calls take, counted by callgrind: a guard that noise cannot blur.

budgets.json holds what each took when it was last looked at; more than 5 % above fails, and more than
5 % below asks for the new figure, so that what was won is kept. budget_test.py --write notes today's."""

import json
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))

from cli_support import BIN_DIR, CliTest  # noqa: E402

BUDGETS = Path(__file__).resolve().parent / "budgets.json"
BURST = 512
# The difference between a long run and a short one leaves out what only the first calls do.
SHORT, LONG = 3, 19
GROWTH = 0.05


WORKS = {"send": "each", "receive_and_ack": "each", "send_batch": "batch", "receive_batch_and_ack": "batch",
         "loan_and_send": "loan_and_send"}


class Budget(CliTest):
    def instructions(self, function: str, roles: str, bursts: int) -> int:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--toggle-collect=counted_{function}", "--callgrind-out-file=/dev/null",
             BIN_DIR / "hot_calls", self.socket, WORKS[function], roles, str(bursts)],
            capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        collected = re.search(r"Collected : (\d+)", run.stderr)
        assert collected, run.stderr
        return int(collected[1])

    def per_message(self, function: str, roles: str) -> float:
        more = self.instructions(function, roles, LONG) - self.instructions(function, roles, SHORT)
        return round(more / ((LONG - SHORT) * BURST), 1)

    def measured(self) -> dict[str, float]:
        return {f"{roles} {function}": self.per_message(function, roles)
                for roles in ("exclusive", "shared") for function in WORKS}

    @unittest.skipUnless(shutil.which("valgrind"), "valgrind is not installed")
    def test_budgets(self) -> None:
        found = self.measured()
        if "--write" in sys.argv:
            BUDGETS.write_text(json.dumps(found, indent=2) + "\n")
        budgets = json.loads(BUDGETS.read_text())
        for name, count in found.items():
            print(f"{name}: {count} instructions a message, budget {budgets.get(name)}")
        self.assertEqual(budgets.keys(), found.keys())
        for name, count in found.items():
            with self.subTest(name):
                self.assertLessEqual(count, budgets[name] * (1 + GROWTH), "the hot path has grown")
                self.assertGreaterEqual(count, budgets[name] * (1 - GROWTH),
                                        "it has shrunk: note the new figure with budget_test.py --write")


if __name__ == "__main__":
    unittest.main(argv=[word for word in sys.argv if word != "--write"], verbosity=2)
