#!/usr/bin/env python3
"""Whether `otload compare` tells real runs from each other as it should.

    pairs.py --otload target/release/otload                               22 runs of four minutes, all at once
    pairs.py --otload target/release/otload --seconds 600 --same 6 --slower 3

Each run has a target of its own on 127.0.0.1, whose answers take log-normal times (median 60 ms, spread 0.5) drawn from a seed of its
own; for the slower runs each takes 10% longer. All run side by side, so that what else the machine does is common to
them. Then every two runs of the same are compared, in the order in which they were numbered, and every slower one with
every other one. `same` must be said of --bound-same per cent of the former and `worse` of --bound-worse per cent of the latter. Takes as long
as a run and a minute; more runs than the machine has room for disturb each other. Exits with 1 if a bound is missed or a run failed; --json FILE writes all verdicts.
"""
import argparse, asyncio, itertools, json, math, multiprocessing, random, socket, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SCENARIO = """\
name: pairs
host: http://127.0.0.1:{port}
users: [{{name: U, tasks: [{{get: /cars}}]}}]
load: {{arrival_rate: {rate}/s, max_users: 200}}
validity: {{enabled: false}}
"""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def target(listener, seed, factor):
    """Answers each request after a time drawn by chance."""
    chance = random.Random(seed)

    async def serve(reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(factor * 0.060 * math.exp(chance.gauss(0, 0.5)))
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main():
        server = await asyncio.start_server(serve, sock=listener)
        await server.serve_forever()

    asyncio.run(main())


def run(args, folder, number, factor):
    """The results folder of one run."""
    listener = socket.create_server(("127.0.0.1", 0))
    scenario, out = folder / f"{number}.yaml", folder / f"run-{number}"
    scenario.write_text(SCENARIO.format(port=listener.getsockname()[1], rate=args.rate))
    process = multiprocessing.Process(target=target, args=(listener, 1000 + number, factor), daemon=True)
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


def compare(args, before, after):
    done = subprocess.run([args.otload, "compare", before, after], capture_output=True, text=True, timeout=60)
    if done.returncode not in (0, 1):
        raise SystemExit(f"compare ended with {done.returncode}:\n{done.stderr}")
    first = next(line for line in done.stdout.splitlines() if any(word in line for word in ("same", "worse", "better")))
    return "worse" if done.returncode == 1 else "better" if "better" in first else "same"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--otload", required=True, help="the release binary")
    parser.add_argument("--same", type=int, default=15, help="runs of the same (%(default)s)")
    parser.add_argument("--slower", type=int, default=7, help="runs that are 10%% slower (%(default)s)")
    parser.add_argument("--seconds", type=int, default=240, help="length of each run (%(default)s)")
    parser.add_argument("--rate", type=int, default=60, help="requests a second of each run (%(default)s)")
    parser.add_argument("--bound-same", type=float, default=98, help="per cent (%(default)s)")
    parser.add_argument("--bound-worse", type=float, default=95, help="per cent (%(default)s)")
    parser.add_argument("--json", help="also write the verdicts here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otload-pairs-") as folder:
        factors = [1.0] * args.same + [1.1] * args.slower
        with ThreadPoolExecutor(len(factors)) as pool:
            started = time.monotonic()
            runs = list(pool.map(lambda one: run(args, Path(folder), *one), enumerate(factors)))
        print(f"{len(runs)} runs of {args.seconds} s, {args.rate} requests a second each, took {time.monotonic() - started:.0f} s", flush=True)
        p50 = [json.loads((out / "summary.json").read_text())["totals"]["response_time_seconds"]["p50"] * 1e3 for out in runs]
        print(f"p50 of the same {min(p50[:args.same]):.2f} to {max(p50[:args.same]):.2f} ms, of the slower {min(p50[args.same:]):.2f} to {max(p50[args.same:]):.2f} ms")
        same, slower = runs[:args.same], runs[args.same:]
        pairs = {"same": list(itertools.combinations(same, 2)), "worse": list(itertools.product(same, slower))}
        with ThreadPoolExecutor(2) as pool:
            found = {what: list(pool.map(lambda two: compare(args, *two), of)) for what, of in pairs.items()}
    missed = 0
    for what, bound in (("same", args.bound_same), ("worse", args.bound_worse)):
        verdicts = found[what]
        share = 100 * verdicts.count(what) / len(verdicts)
        missed += share < bound
        others = {word: verdicts.count(word) for word in sorted(set(verdicts) - {what})}
        print(f"{'holds ' if share >= bound else 'MISSED'} {what}: {share:.1f}% of {len(verdicts)} pairs, at least {bound:g}%; {others}")
    if args.json:
        Path(args.json).write_text(json.dumps({"p50_ms": p50, "verdicts": found}))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
