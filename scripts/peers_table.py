"""The tables of scripts/compare-peers, from files of bench-step and of bench/peer_*.py named ROUND-WHAT-ANYTHING.json.

The fastest round of each program counts, since other work on a machine can only slow a run down. Exit code 3: no variant of
any peer ran.
"""
import argparse
import json
import os
import sys

WORKS = {"train": "training step", "embed": "embedding"}


def read_rows(path):
    """The rows of one run of one program."""
    number, what = os.path.basename(path).split("-")[:2]
    with open(path) as file:
        content = json.load(file)
    if isinstance(content, dict):  # of bench-step
        content["peer"], content["variant"] = "mpanet", content.get("conv", "native")
        content = [content]
    for row in content:
        memory = row.get("gpu_peak_mib", row.get("peak_mib"))
        yield {**row, "what": what, "round": int(number), "memory_mib": memory}


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
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("device", "size", "depth", "instruction-set", "json"):
        p.add_argument("--" + option, default="")
    for option in ("batch", "classes", "steps", "threads", "rounds"):
        p.add_argument("--" + option, type=int)
    p.add_argument("files", nargs="+")
    settings = vars(p.parse_args())
    rows = merge([row for path in settings.pop("files") for row in read_rows(path)])
    ratios = []
    for what in WORKS:
        of_work = [row for row in rows if row["what"] == what]
        compared = [compare(what, precision, rows) for precision in dict.fromkeys(r["precision"] for r in of_work)]
        compared = [ratio for ratio in compared if ratio]
        if of_work:
            print_table(what, settings, of_work, compared)
        ratios += compared
    path = settings.pop("json")
    if path:
        with open(path, "w") as file:
            json.dump({**settings, "rows": rows, "ratios": ratios}, file, indent=1)
            file.write("\n")
    peers = [row for row in rows if not is_ours(row)]
    return 3 if peers and all("error" in row for row in peers) else 0


if __name__ == "__main__":
    sys.exit(main())
