#!/usr/bin/python3
# Other people's programs, as client and as server: the fast part of the judges.
# timeout: 900
# SPDX-License-Identifier: MIT
"""Each case runs natively, with its server over a link, with its client over a
link, and with both; make judges runs all of tests/judges/programs. Several run at
once, since mostly they wait."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "judges"))

from harness import SANITIZED, as_root, diagnose  # noqa: E402
import differences  # noqa: E402
import stage  # noqa: E402

AT_ONCE = 4


def outcome(it):
    """What is wrong, and why what was skipped. Twice if need be: the machine may
    have been busy."""
    for _ in range(2):
        outcomes = {mode: stage.run_case(it, mode) for mode in stage.MODES}
        expected = differences.CASES.get(it.key, ((), None))[0]
        wrong = stage.compare(outcomes)
        bad = {mode: why for mode, why in wrong.items() if mode not in expected}
        if not bad:
            break
        diagnose(f"{it.key}: {bad}")
    return bad, {o.text for o in outcomes.values() if o.result == "skipped"}


def main():
    as_root()
    cases = [c for c in stage.load_cases() if c.fast]
    if sys.argv[1:]:
        cases = [c for c in cases if any(a in c.key for a in sys.argv[1:])]
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for n, (it, got) in enumerate(zip(cases, pool.map(outcome, cases)), 1):
            bad, skipped = got
            failed += bool(bad)
            reason = f" # SKIP {'; '.join(sorted(skipped))}" if skipped and not bad else ""
            print(f"{'not ok' if bad else 'ok'} {n} - {it.name}{reason}", flush=True)
    print(f"1..{len(cases)}")
    return 1 if failed else 0


if __name__ == "__main__":
    if SANITIZED:
        print("1..0 # SKIP a sanitizer's run time must be loaded first")
        sys.exit()
    sys.exit(main())
