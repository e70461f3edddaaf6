#!/usr/bin/env python3
"""What `otload compare` says of real runs: pairs of equal ones, of slower ones, and of ones that fail more often.

    pairs.py --otload target/release/otload                          20 pairs of a minute of each kind, takes some 5 minutes
    pairs.py --otload target/release/otload --seconds 300            20 pairs of five minutes, takes some 22 minutes
    pairs.py --otload target/release/otload --pairs 3 --seconds 60 --kinds equal,failures

Pairs are disjoint: each run is in one pair only. Each run has a target of its own on 127.0.0.1, whose answers take log-normal times (median
40 ms, spread 0.5) drawn from a seed of its own, and of which a share fails with status 500. All runs of a kind go side by side, --at-once
of them, so that what else the machine does is common to them; more than the machine has room for disturb each other.

Prints what was said of each kind and each figure. Exits with 1 if a run failed or what was said is false: an equal pair is `worse` or
`better`, or one that is not equal is `same` or `better`, more often than --bound-false per cent; or if `failures` or `30% slower` is
found in fewer than --bound-found per cent. --json FILE writes all of it.
"""
import argparse, asyncio, json, math, multiprocessing, os, random, socket, subprocess, sys, tempfile, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCENARIO = """\
name: pairs
host: http://127.0.0.1:{port}
users: [{{name: U, wait_time: {wait}ms, tasks: [{{get: /cars}}]}}]
load: {{users: {users}}}
validity: {{enabled: false}}
"""
USERS = 16
# Factor of the times and share of failures: before, and after.
KINDS = {
    "equal": [(1.0, 0.0), (1.0, 0.0)],
    "slower10": [(1.0, 0.0), (1.1, 0.0)],
    "slower30": [(1.0, 0.0), (1.3, 0.0)],
    "failures": [(1.0, 0.005), (1.0, 0.024)],
}
WORDS = ["same", "worse", "better", "cannot_tell"]
ANSWERS = {status: f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok".encode() for status in (200, 500)}


def target(listener, seed, factor, failures):
    """Answers each request after a time, and with a status, drawn by chance."""
    chance = random.Random(seed)

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(factor * 0.040 * math.exp(chance.gauss(0, 0.5)))
                writer.write(ANSWERS[500 if chance.random() < failures else 200])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main():
        server = await asyncio.start_server(serve, sock=listener)
        await server.serve_forever()

    asyncio.run(main())


def run(args, folder, number, factor, failures):
    """The results folder of one run."""
    listener = socket.create_server(("127.0.0.1", 0))
    scenario, out = folder / f"{number}.yaml", folder / f"run-{number}"
    # About 45 ms of each turn are the answer; the host has the port, so each run has a scenario of its own.
    wait = round(1000 * USERS / args.rate - 45)
    scenario.write_text(SCENARIO.format(port=listener.getsockname()[1], wait=wait, users=USERS))
    process = multiprocessing.Process(target=target, args=(listener, args.seed + number, factor, failures), daemon=True)
    process.start()
    try:
        done = subprocess.run([args.otload, "run", scenario, "--workers", "1", "--run-time", f"{args.seconds}s", "--listen", "127.0.0.1:0",
                               "--linger", "0s", "--quiet", "--out", out], capture_output=True, text=True, timeout=args.seconds + 120)
    finally:
        process.kill()
        process.join()
        listener.close()
    if done.returncode != 0:
        raise SystemExit(f"run {number} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return out


def compare(args, pair):
    """All that was said of a pair."""
    done = subprocess.run([args.otload, "compare", *pair, "--format", "json"], capture_output=True, text=True, timeout=60)
    if done.returncode not in (0, 1, 5):
        raise SystemExit(f"compare ended with {done.returncode}:\n{done.stderr}")
    said = json.loads(done.stdout)
    expected = {"worse": 1, "cannot_tell": 5}.get(said["verdict"], 0)
    if done.returncode != expected:
        raise SystemExit(f"{said['verdict']} with exit code {done.returncode}")
    return said


def pairs_of(args, kind, first):
    """Runs all pairs of a kind, and says what was said of them."""
    with tempfile.TemporaryDirectory(prefix="otload-pairs-") as folder:
        jobs = [(first + 2 * pair + at, *KINDS[kind][at]) for pair in range(args.pairs) for at in (0, 1)]
        with ThreadPoolExecutor(args.at_once) as pool:
            runs = list(pool.map(lambda job: run(args, Path(folder), *job), jobs))
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda pair: compare(args, pair), zip(runs[::2], runs[1::2])))


def line(name, verdicts):
    found = Counter(verdicts)
    print(f"{name:<28}" + "".join(f"{found[word]:>13}" for word in WORDS), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--otload", required=True, help="the binary")
    parser.add_argument("--pairs", type=int, default=20, help="of each kind (%(default)s)")
    parser.add_argument("--seconds", type=int, default=60, help="length of each run (%(default)s)")
    parser.add_argument("--rate", type=int, default=40, help="requests per second of each run, about (%(default)s)")
    parser.add_argument("--at-once", type=int, default=40, help="runs side by side (%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1000, help="of the targets (%(default)s)")
    parser.add_argument("--bound-false", type=float, default=5, help="per cent (%(default)s)")
    parser.add_argument("--bound-found", type=float, default=90, help="per cent (%(default)s)")
    parser.add_argument("--json", help="also write all that was said here")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))}")
    print(f"{args.pairs} pairs of {args.seconds} s, about {args.rate} requests per second, {args.at_once} runs side by side, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':<28}" + "".join(f"{word.replace('_', ' '):>13}" for word in WORDS))
    missed, everything, started = [], {}, time.monotonic()
    for at, kind in enumerate(kinds):
        said = everything[kind] = pairs_of(args, kind, 10_000 * at)
        verdicts = [one["verdict"] for one in said]
        line(kind, verdicts)
        figures = [one["requests"][0]["figures"] for one in said]
        for figure in range(5):
            line("  " + figures[0][figure]["figure"], [one[figure]["verdict"] for one in figures])
        false = ["worse", "better"] if kind == "equal" else ["same", "better"]
        share = 100 * sum(verdict in false for verdict in verdicts) / len(verdicts)
        if share > args.bound_false:
            missed.append(f"{kind}: {share:.0f}% are {' or '.join(false)}")
        found = 100 * verdicts.count("worse") / len(verdicts)
        if kind in ("slower30", "failures") and found < args.bound_found:
            missed.append(f"{kind}: only {found:.0f}% are worse")
    print(f"\ntook {time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f}")
    if args.json:
        Path(args.json).write_text(json.dumps(everything))
    for miss in missed:
        print(f"MISSED {miss}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
