#!/usr/bin/env python3
"""The installed Python module: the bits of mpanet-eval's embeddings, ranked lists, errors, other threads, fork.

  python_module.py CMAKE BUILD    BUILD: a build with MPANET_LIBRARY

Exit code 0: done, 1: something is wrong, 77: there is no numpy here.
"""
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

try:
    import numpy as np
except ImportError:
    print("skipped: this Python has no numpy")
    sys.exit(77)


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def check(holds, what):
    if not holds:
        sys.exit(f"wrong: {what}")


def check_refused(call, words):
    try:
        call()
    except mpanet.Error as error:
        text = str(error)
        check(words in text and "\n" not in text and error.code == 2, f"expected an error with {words!r}, got {text!r}")
        return
    sys.exit(f"wrong: no error with {words!r}")


def draw(prefix, folder):
    """A small untrained network, and mpanet-eval's embeddings of pictures."""
    programs = os.path.join(prefix, "bin")
    data, out, saved = (os.path.join(folder, name) for name in ("data", "run", "saved"))
    run(f"{programs}/mpanet-data", "synth", "--out", data, "--ids", "4", "--test-ids", "3", "--images", "2")
    run(f"{programs}/mpanet-train", "--config", "demo", "--set", "image_size=[48,24]", "p_size=2", "k_size=2",
        "num_parts=2", "--data", data, "--out", out, "--max-steps", "0")
    checkpoint = os.path.join(out, "last.safetensors")
    run(f"{programs}/mpanet-eval", "--checkpoint", checkpoint, "--data", data, "--protocol", "agw",
        "--batch", "1", "--save-features", saved)  # the library's default on the CPU
    with open(os.path.join(saved, "images.csv")) as lines:
        paths = [os.path.join(data, row["path"]) for row in csv.DictReader(lines)]
    return checkpoint, paths, np.load(os.path.join(saved, "features.npy"))


def check_embeddings(checkpoint, paths, expected):
    model = mpanet.load(checkpoint)
    check(model.dimension == expected.shape[1] and model.input_size == (48, 24), "dimension or size")
    check(np.array_equal(model.embed(paths), expected), "embeddings differ from mpanet-eval's")
    check(model.embed([]).shape == (0, model.dimension), "no pictures")
    check(np.array_equal(model.embed(p for p in paths[:2]), expected[:2]), "an iterator of paths")
    # More pictures than a call takes, in whole batches.
    many = 6 * paths
    with mpanet.load(checkpoint, batch=25) as other:
        rows = other.embed(many)
        check(np.array_equal(rows, np.tile(rows[: len(paths)], (6, 1))), "pictures of several calls")
        check(len(many) > other._pictures_a_call == 75, "the pictures of a call are whole batches")
    # Arrays, mixed with paths; a view whose rows and channels are not contiguous is the same picture.
    array = np.random.default_rng(1).integers(0, 256, (30, 20, 3), np.uint8)
    view = np.asfortranarray(array)
    mixed = model.embed([array, paths[0], view, paths[1]])
    check(np.array_equal(mixed[[1, 3]], expected[:2]), "paths between arrays")
    check(np.array_equal(mixed[0], mixed[2]), "an array in another order of memory")
    check(not np.array_equal(mixed[0], model.embed([array[:, ::-1]])[0]), "a mirrored array")
    return model


def check_ranking(expected):
    unit = expected.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    definition = 2 - 2 * unit @ unit.T
    distances = mpanet.compare(expected, expected)
    # Sums of float32 products of unit vectors, each rounded to 2^-24: far below 1e-5.
    check(distances.dtype == np.float32 and np.abs(distances - definition).max() < 1e-5, "distances")
    indices, nearest = mpanet.rank(expected[:2], expected, top=5)
    check(indices.shape == (2, 5) and list(indices[:, 0]) == [0, 1], "the nearest of a picture is itself")
    check(np.array_equal(nearest, np.take_along_axis(distances[:2], indices, axis=1)), "distances of ranked lists")
    check(mpanet.rank(expected, expected, top=10**6)[0].shape == (len(expected), len(expected)), "top above the gallery")


def check_calibration(checkpoint, expected):
    """Probabilities of a calibration file, and none without it."""
    path = checkpoint + ".calibration.json"
    with mpanet.load(checkpoint) as model:
        distances, probabilities = model.compare(expected, expected)
        check(probabilities is None, "probabilities without a calibration")
        check(np.array_equal(distances, mpanet.compare(expected, expected)), "a model's distances")
    with open(checkpoint, "rb") as file:
        sha256 = hashlib.sha256(file.read()).hexdigest()
    calibration = {
        "checkpoint_sha256": sha256, "height": 48, "width": 24, "flip": False, "protocol": "agw", "split": None,
        "prior": 0.5, "identities": [1, 2], "same_pairs": 4, "different_pairs": 4,
        "curves": {"euclidean-unit": {"intercept": 3, "slope": -2, "threshold": 1.5}},
    }
    with open(path, "w") as file:
        json.dump(calibration, file)
    with mpanet.load(checkpoint) as model:
        distances, probabilities = model.compare(expected, expected)
        definition = 1 / (1 + np.exp(-3 + 2 * distances.astype(np.float64)))
        check(probabilities.shape == distances.shape and probabilities.dtype == np.float32, "shape of probabilities")
        check(np.abs(probabilities - definition).max() < 1e-7, "probabilities")  # rounded to float32
    calibration["checkpoint_sha256"] = "0" * 64
    with open(path, "w") as file:
        json.dump(calibration, file)
    with mpanet.load(checkpoint) as model:
        check(np.array_equal(model.embed([]), np.empty((0, model.dimension))), "a stale calibration ends no embedding")
        check_refused(lambda: model.compare(expected, expected), "got that of other weights")
    os.remove(path)


def check_errors(model, checkpoint, paths, folder):
    missing = os.path.join(folder, "missing")
    check_refused(lambda: mpanet.load(missing), "missing")
    check_refused(lambda: mpanet.load(paths[0]), os.path.basename(paths[0]))
    check_refused(lambda: mpanet.load(7), "path: expected a text or path, got int")
    check_refused(lambda: mpanet.load(checkpoint + "\0.txt"), "zero byte")
    check_refused(lambda: mpanet.load(checkpoint, device="gpu"), "device gpu")
    check_refused(lambda: mpanet.load(checkpoint, precision="f8"), "precision")
    check_refused(lambda: mpanet.load(checkpoint, size=48), "size: expected (height, width)")
    check_refused(lambda: mpanet.load(checkpoint, size=(48, 10**5)), "width: expected 1 to 9999")
    check_refused(lambda: mpanet.load(checkpoint, batch=2**40), "batch: expected an integer of 32 bits")
    check_refused(lambda: mpanet.load(checkpoint, threads=1.5), "threads: expected an integer")
    check_refused(lambda: model.embed(paths[0]), "expected a list, got one path")
    check_refused(lambda: model.embed(7), "expected a list")
    check_refused(lambda: model.embed([paths[0], missing]), "missing")
    check_refused(lambda: model.embed([checkpoint]), os.path.basename(checkpoint))
    check_refused(lambda: model.embed([None]), "picture 0: expected a path or an array")
    check_refused(lambda: model.embed([np.zeros((4, 4), np.uint8)]), "picture 0: expected a path or an array")
    check_refused(lambda: model.embed([np.zeros((4, 4, 3))]), "got (4, 4, 3) of float64")
    check_refused(lambda: model.embed([np.zeros((0, 4, 3), np.uint8)]), "got 0 x 4")
    check_refused(lambda: mpanet.compare(np.zeros(3), np.zeros((1, 3))), "queries: expected the shape")
    check_refused(lambda: mpanet.compare([["a"]], [[1]]), "queries: expected numbers")
    check_refused(lambda: mpanet.compare([[np.nan]], [[1]]), "row 0, column 0 is nan")
    check_refused(lambda: mpanet.rank([[1, 2]], [[1]]), "the queries have 2 numbers a row, the gallery has 1")
    check_refused(lambda: mpanet.rank([[1]], [[1]], top=-1), "top: expected an integer from 0")


def check_threads(model, paths, expected):
    """Other Python threads run while one embeds: they count on while the calls last, which hold the model's turn."""
    # The main thread must wait long for the interpreter's lock if it can't be had: 60 s is far above the embedding's time.
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    ticks, started, done = [], threading.Event(), threading.Event()

    def embed():
        started.set()
        for _ in range(5):
            ticks.append((time.monotonic(), model.embed(paths), time.monotonic()))
        done.set()

    thread = threading.Thread(target=embed)
    thread.start()
    moments = []
    while not done.is_set():
        moments.append(time.monotonic())
        time.sleep(0.0005)  # gives the interpreter's lock up, and gets it again only if the embedding thread has not it
    thread.join()
    sys.setswitchinterval(interval)
    check(all(np.array_equal(rows, expected) for _, rows, _ in ticks), "embeddings of another thread")
    for begin, _, end in ticks:
        inside = sum(begin < moment < end for moment in moments)
        check(inside >= 2, f"the main thread ran {inside} times in {end - begin:.3f} s of an embedding")

    results = [None] * 4

    def share(index):
        results[index] = model.embed(paths)

    threads = [threading.Thread(target=share, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(all(np.array_equal(rows, expected) for rows in results), "several threads with one model")


def check_fork(model, checkpoint, paths, expected):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            check_refused(lambda: model.embed(paths[:1]), "before this process was forked")
            code = 0 if np.array_equal(mpanet.load(checkpoint).embed(paths), expected) else 2
        finally:
            os._exit(code)
    check(os.waitpid(child, 0)[1] == 0, "a child process")


def check_close(checkpoint, paths):
    with mpanet.load(checkpoint) as model:
        model.embed(paths[:1])
    model.close()
    check_refused(lambda: model.embed(paths[:1]), "the model was closed")


def main():
    cmake, build = sys.argv[1:]
    global mpanet
    with tempfile.TemporaryDirectory() as folder:
        prefix = os.path.join(folder, "prefix")
        run(cmake, "--install", build, "--prefix", prefix)
        sys.path.insert(0, os.path.join(prefix, "lib/python3/dist-packages"))
        import mpanet as module
        mpanet = module
        checkpoint, paths, expected = draw(prefix, folder)
        model = check_embeddings(checkpoint, paths, expected)
        check_ranking(expected)
        check_calibration(checkpoint, expected)
        check_errors(model, checkpoint, paths, folder)
        check_threads(model, paths, expected)
        check_fork(model, checkpoint, paths, expected)
        check_close(checkpoint, paths)
        environment = dict(os.environ, PYTHONPATH=os.path.join(prefix, "lib/python3/dist-packages"))
        example = os.path.join(prefix, "share/doc/mpanet/docs/examples/embed.py")
        done = subprocess.run([sys.executable, example, checkpoint, *paths[:2]], capture_output=True, text=True,
                              env=environment)
        check(done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 2, done.stderr)
        check(done.stdout.splitlines()[0].split()[:2] == [paths[0], "0.0000"], done.stdout)
    print("the Python module: passed")


main()
