"""The tables of scripts/compare-peers, from files of bench-step and of bench/peer_*.py named ROUND-WHAT-ANYTHING.json.

The fastest round of each program counts, since other work on a machine can only slow a run down. Exit code 3: no variant of
any peer ran.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bench"))
sys.dont_write_bytecode = True
from peers_common import Parser, exit_with, fail, read_json, whole, write_json  # noqa: E402

WORKS = {"train": "training step", "embed": "embedding"}


def is_number(value, least):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value < 1e12


def is_row(row):
    """Whether a row has what the tables need."""
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("peer", "variant", "precision")):
        return False
    if "error" in row:
        return isinstance(row["error"], str)
    return is_number(row.get("seconds_per_image"), 1e-12) and (row["memory_mib"] is None or is_number(row["memory_mib"], 0))


def read_rows(path):
    """The rows of one run of one program."""
    number, what = (os.path.basename(path).split("-") + [""])[:2]
    if what not in WORKS or not number.isdecimal():
        fail(f"{path}: expected a file named ROUND-WHAT-ANYTHING.json, with WHAT one of {', '.join(WORKS)}")
    rows = read_json(path)
    if isinstance(rows, dict):  # of bench-step
        rows = [{**rows, "peer": "mpanet", "variant": rows.get("conv", "native")}]
    if not isinstance(rows, list) or not rows:
        fail(f"{path}: expected rows of bench-step or of bench/peer_*.py")
    for index, row in enumerate(rows):
        if isinstance(row, dict):
            row = {**row, "what": what, "round": int(number), "memory_mib": row.get("gpu_peak_mib", row.get("peak_mib"))}
        if not is_row(row):
            fail(f"{path}: row {index + 1}: expected peer, variant, precision, and error or seconds_per_image above 0")
        yield row


def merge(rows):
    """One row for all rounds of a program; rows are in the order in which the programs first ran."""
    programs = {}
    for row in rows:
        programs.setdefault((row["what"], row["precision"], row["peer"], row["variant"]), []).append(row)
    merged = []
    for runs in programs.values():
        good = [run for run in runs if "error" not in run]
        if not good:
            merged.append(runs[0])
            continue
        row = dict(min(good, key=lambda run: run["seconds_per_image"]))
        row["rounds"] = {run["round"]: run["seconds_per_image"] for run in good}
        memories = [run["memory_mib"] for run in good if run["memory_mib"]]
        row["memory_mib"] = min(memories) if memories else None
        row.pop("ops", None)
        row.pop("round")
        merged.append(row)
    return merged


def is_ours(row):
    return row["peer"] == "mpanet"


def compare(what, precision, rows):
    """The speed of mpanet relative to the fastest peer, and its memory relative to the smallest; None if one is missing."""
    rows = [r for r in rows if r["what"] == what and r["precision"] == precision and "error" not in r]
    ours, peers = [r for r in rows if is_ours(r)], [r for r in rows if not is_ours(r)]
    if not ours or not peers:
        return None
    ours, best = ours[0], min(peers, key=lambda r: r["seconds_per_image"])
    ratio = {"what": what, "precision": precision, "best_peer": name(best),
             "speed": best["seconds_per_image"] / ours["seconds_per_image"]}
    # The ratio in each round, to the peer that was the fastest in it.
    of_rounds = []
    for number, seconds in ours["rounds"].items():
        others = [r["rounds"][number] for r in peers if number in r["rounds"]]
        if others:
            of_rounds.append(min(others) / seconds)
    ratio["speed_of_rounds"] = of_rounds
    with_memory = [r for r in peers if r["memory_mib"]]
    if with_memory and ours["memory_mib"]:
        smallest = min(with_memory, key=lambda r: r["memory_mib"])
        ratio.update({"smallest_peer": name(smallest), "memory": ours["memory_mib"] / smallest["memory_mib"]})
    return ratio


def name(row):
    return f"{row['peer']} {row['variant']}".strip()


def print_table(what, settings, rows, ratios):
    threads = f", {settings['threads']} threads" if settings["threads"] else ""
    rounds = settings["rounds"]
    print(f"\n{WORKS[what]} of MPANet, ResNet {settings['depth']}, {settings['batch']} pictures of {settings['size']} on "
          f"{settings['device']}{threads}, {settings['instruction_set']} instructions; median of {settings['steps']} steps"
          + (f", fastest of {rounds} rounds" if rounds > 1 else ""))
    print(f"{'':<24} {'variant':<16} {'precision':<9} {'ms a picture':>12} {'pictures/s':>10} {'peak MiB':>9}")
    for row in rows:
        start = f"{row['peer']:<24} {row['variant']:<16} {row['precision']:<9}"
        if "error" in row:
            print(f"{start} did not run: {row['error'][:80]}")
            continue
        seconds = row["seconds_per_image"]
        memory = f"{row['memory_mib']:.0f}" if row["memory_mib"] else ""
        print(f"{start} {seconds * 1e3:>12.3f} {1 / seconds:>10.1f} {memory:>9}".rstrip())
    for ratio in ratios:
        low, high = min(ratio["speed_of_rounds"], default=0), max(ratio["speed_of_rounds"], default=0)
        between = f", {low:.2f} to {high:.2f} in single rounds" if len(ratio["speed_of_rounds"]) > 1 else ""
        print(f"{ratio['precision']}: {ratio['speed']:.2f} times the speed of the best peer ({ratio['best_peer']}{between})")
        if "memory" in ratio:
            print(f"{ratio['precision']}: {ratio['memory']:.2f} times the peak memory of the smallest peer "
                  f"({ratio['smallest_peer']})")


def main():
    p = Parser(__doc__)
    for option in ("device", "size", "depth", "instruction-set", "json"):
        p.add_argument("--" + option, default="")
    for option in ("batch", "classes", "steps", "threads", "rounds"):
        p.add_argument("--" + option, type=whole(1, 100000), required=option != "threads")
    p.add_argument("--skipped", action="append", default=[], help="a line about a peer that did not run")
    p.add_argument("files", nargs="*")
    settings = vars(p.parse_args())
    rows = merge([row for path in settings.pop("files") for row in read_rows(path)])
    ratios = [compare(what, precision, rows) for what in WORKS
              for precision in dict.fromkeys(row["precision"] for row in rows if row["what"] == what)]
    ratios = [ratio for ratio in ratios if ratio]
    path = settings.pop("json")
    try:
        if path:
            write_json({**settings, "rows": rows, "ratios": ratios}, path)
    finally:  # the numbers are printed in any case
        print("".join(line + "\n" for line in settings["skipped"]), end="")
        for what in WORKS:
            of_work = [row for row in rows if row["what"] == what]
            if of_work:
                print_table(what, settings, of_work, [ratio for ratio in ratios if ratio["what"] == what])
    peers = [row for row in rows if not is_ours(row)]
    return 3 if peers and all("error" in row for row in peers) else 0


if __name__ == "__main__":
    exit_with(main)
