#!/usr/bin/env python3
"""Reads what mpanet's programs write by other projects' own readers, which pip installs into a new environment.

  other_readers.py onnx PROGRAMS          embeddings of mpanet-export's models in ONNX Runtime, of the tests' network and of
                                          a ResNet-50 with initial weights at 384x128
  other_readers.py tensorboard PROGRAMS   the events of a run by TensorBoard's reader

Exit code 0: done, 1: something is wrong, 77: no network, or no Python environment can be made here.
"""
import csv
import json
import os
import subprocess
import sys
import tempfile

PACKAGES = {"onnx": ["onnxruntime", "numpy"], "tensorboard": ["tensorboard"]}
CONFIG = {
    "depth": "tiny", "image_size": [64, 32], "p_size": 2, "k_size": 2, "num_parts": 2, "lr": 0.001, "num_epoch": 2,
    "start_eval": 0, "eval_interval": 1, "log_period": 1, "data": {"threads": 1},
}


def run(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def check(holds, what):
    if not holds:
        sys.exit(f"wrong: {what}")


def enter_environment(what):
    """Starts this script again in a new environment that has the packages."""
    with tempfile.TemporaryDirectory() as folder:
        python = os.path.join(folder, "bin/python")
        for command in ([sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "-q", *PACKAGES[what]]):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                print(f"skipped: {' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
                sys.exit(77)
        sys.exit(subprocess.run([python, __file__, what, sys.argv[2], "inside"]).returncode)


def train(programs, folder, name="run", more=()):
    data, out, config = (os.path.join(folder, made) for made in ("data", name, "config.json"))
    if not os.path.exists(data):
        with open(config, "w") as file:
            json.dump(CONFIG, file)
        run(f"{programs}/mpanet-data", "synth", "--out", data, "--ids", "4", "--test-ids", "3", "--images", "2")
    run(f"{programs}/mpanet-train", "--config", config, "--data", data, "--out", out, *more)
    return data, out


def preprocessed(programs, folder, data, listed, size):
    """The pictures of a list, resized: uint8 (N, height, width, 3)."""
    pictures = []
    with open(listed) as lines:
        for row in csv.DictReader(lines):
            run(f"{programs}/mpanet-data", "preprocess", f"{data}/{row['path']}", "--height", str(size[0]),
                "--width", str(size[1]), "--out", f"{folder}/picture.npy")
            pictures.append(np.load(f"{folder}/picture.npy"))
    pictures = np.stack(pictures)
    check(pictures.dtype == np.uint8 and pictures.shape[1:] == (*size, 3), "preprocessed pictures")
    return pictures


def check_models(name, programs, folder, data, checkpoint, size):
    """Of an L2-normalised embedding every number is within 1e-4; else within 1e-4 of the largest number."""
    saved = f"{folder}/saved-{name}"
    run(f"{programs}/mpanet-eval", "--checkpoint", checkpoint, "--data", data, "--save-features", saved)
    expected = np.load(f"{saved}/features.npy").astype(np.float64)
    pictures = preprocessed(programs, folder, data, f"{saved}/images.csv", size)
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    floats = ((pictures / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    for include in ("", "pixels", "l2", "pixels,l2"):
        model = f"{folder}/model.onnx"
        more = ["--include", include] if include else []
        run(f"{programs}/mpanet-export", "--checkpoint", checkpoint, "--to", "onnx", model, *more)
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        check(session.get_modelmeta().custom_metadata_map["mpanet.included"] == include, "metadata")
        given = pictures if "pixels" in include else floats
        made = session.run(["embeddings"], {"pictures": given})[0]
        normalised = "l2" in include
        wanted = expected / np.linalg.norm(expected, axis=1, keepdims=True) if normalised else expected
        largest, allowed = np.abs(wanted).max(), 1e-4 * (1 if normalised else np.abs(wanted).max())
        difference = np.abs(made - wanted).max()
        print(f"{name}, included {include or 'nothing'}: {made.shape}, numbers up to {largest:.3g}, largest difference "
              f"{difference:.2g}, allowed {allowed:.2g}")
        check(made.shape == wanted.shape and difference < allowed, f"{name}: embeddings with {include!r} included")
        one = session.run(["embeddings"], {"pictures": given[:1]})[0]
        check(np.abs(one - made[:1]).max() < allowed, "a batch of one picture")


def check_onnx(programs, folder):
    data, out = train(programs, folder)
    check_models("tiny", programs, folder, data, f"{out}/best.safetensors", CONFIG["image_size"])
    size = [384, 128]
    out = train(programs, folder, "resnet50", ["--max-steps", "0", "--set", "depth=50", "image_size=384,128"])[1]
    check_models("ResNet-50", programs, folder, data, f"{out}/last.safetensors", size)


def check_tensorboard(programs, folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = train(programs, folder)[1]
    events = EventAccumulator(out, size_guidance={"scalars": 0})
    events.Reload()
    expected = {}  # tag -> [(step, value)]
    with open(f"{out}/log.jsonl") as lines:
        for line in map(json.loads, lines):
            scalars = {}
            if line["kind"] == "step":
                scalars = {f"loss/{name}": value for name, value in line["losses"].items()}
                scalars["training/images_per_second"] = line["images_per_second"]
            elif line["kind"] == "epoch":
                scalars = {f"epoch/{name}": value for name, value in line["losses"].items()}
                scalars["training/lr"] = line["lr"]
            else:
                for entry in line["results"]:
                    setting = f"{entry['mode']} {entry['shots']}: {entry['direction']}"
                    for name in ("rank1", "rank5", "rank10", "rank20", "mAP", "mINP"):
                        scalars[f"evaluation/{name}/{setting}"] = entry[name]
            for tag, value in scalars.items():
                expected.setdefault(tag, []).append((line["step"], value))
    check(len(expected) > 20, "tags in the log")
    check(set(events.Tags()["scalars"]) == set(expected), f"tags: {events.Tags()['scalars']}, {list(expected)}")
    for tag, points in expected.items():
        read = [(scalar.step, scalar.value) for scalar in events.Scalars(tag)]
        check([step for step, _ in read] == [step for step, _ in points], f"steps of {tag}: {read}, {points}")
        for (_, got), (_, wanted) in zip(read, points):  # float32 in the file
            check(abs(got - wanted) <= 1e-6 * abs(wanted), f"{tag}: {got}, {wanted}")
    print(f"{len(expected)} tags, {sum(map(len, expected.values()))} values")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in PACKAGES:
        sys.exit(__doc__)
    if len(sys.argv) == 3:
        enter_environment(sys.argv[1])
    if sys.argv[1] == "onnx":
        import numpy as np
        import onnxruntime
    with tempfile.TemporaryDirectory() as work:
        (check_onnx if sys.argv[1] == "onnx" else check_tensorboard)(sys.argv[2], work)
